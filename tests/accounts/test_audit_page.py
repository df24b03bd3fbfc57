"""The audit page: filters from a fixed list, and a check of the whole chain."""

from __future__ import annotations

from accounts.models import Role
from audit.models import AuditEvent
from audit.services import first_broken_link, record
from tests.accounts.people import PASSWORD, client_of, person


def test_deeds_are_found_by_what_who_and_which(grace, ada):
    record("run.started", actor=ada)
    record("token.created", actor=grace, target=ada, name="nb")
    hers = client_of(grace)
    for query, count in {
        "action=token": 1,
        "person=ada": 1,
        "target=accounts.user&action=tok": 1,
        "action=nothing": 0,
        "actor__password__startswith=p": 3,  # of no effect: such names reach no query (two deeds and her login)
    }.items():
        assert hers.get(f"/audit/?{query}").content.decode().count("<time datetime") == count, query


def test_logins_and_logouts_are_written_down(ada, client):
    client.post("/login/", {"username": "ada", "password": PASSWORD})
    client.post("/logout/")
    assert list(AuditEvent.objects.order_by("pk").values_list("action", "actor__username")) == [
        ("login", "ada"),
        ("logout", "ada"),
    ]


def test_a_whole_chain_is_said_to_be_whole(grace):
    for number in range(3):
        record("deed", actor=grace, number=number)
    assert "The chain is whole" in client_of(grace).get("/audit/check/").content.decode()


def test_a_changed_event_is_found_and_named(grace):
    events = [record("deed", actor=grace, number=number) for number in range(3)]
    AuditEvent.objects.filter(pk=events[1].pk).update(data={"number": 99})
    assert first_broken_link() == events[1]
    assert f"broken at event {events[1].pk}" in client_of(grace).get("/audit/check/").content.decode()


def test_a_removed_event_is_found_at_the_one_after_it(grace):
    events = [record("deed", actor=grace, number=number) for number in range(3)]
    AuditEvent.objects.filter(pk=events[1].pk).delete()
    assert first_broken_link() == events[2]


def test_the_page_takes_a_fixed_number_of_queries(grace, django_assert_max_num_queries):
    for number in range(70):
        record("deed", actor=person(Role.RATER, name=f"r{number}") if number % 10 == 0 else grace, number=number)
    hers = client_of(grace)
    with django_assert_max_num_queries(4):
        hers.get("/audit/")
