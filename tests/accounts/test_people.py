"""Accounts: made with a password that is shown once, changed by admins, never without an admin."""

from __future__ import annotations

import re
import threading

import pytest
from django.db import connection

from accounts import services
from accounts.models import ApiToken, Role, User
from audit.models import AuditEvent
from tests.accounts.people import PASSWORD, client_of, person


def test_a_new_account_shows_its_password_once_and_it_works(grace, client):
    made = client_of(grace).post("/people/", {"username": "mia", "role": "rater"})
    secret = re.search(r'<code id="secret"[^>]*>([^<]+)<', made.content.decode()).group(1)

    assert client.post("/login/", {"username": "mia", "password": secret}).status_code == 302
    assert secret not in client_of(grace).get("/people/").content.decode()
    assert secret not in str(AuditEvent.objects.values_list("data", flat=True))


def test_the_page_with_a_password_is_not_cached(grace):
    answer = client_of(grace).post("/people/", {"username": "mia", "role": "rater"})
    assert "no-store" in answer["Cache-Control"]


def test_a_taken_name_is_told_beside_its_field(grace, ada):
    answer = client_of(grace).post("/people/", {"username": "ada", "role": "rater"})
    assert answer.status_code == 400
    assert "There is somebody called ada already." in answer.content.decode()


@pytest.mark.parametrize("name", ["", "a b", "<script>", "x" * 151])
def test_a_name_that_is_none_makes_no_account(grace, name):
    assert client_of(grace).post("/people/", {"username": name, "role": "rater"}).status_code == 400
    assert User.objects.count() == 1


def test_changing_a_role_changes_what_is_open_at_once(grace, ada):
    hers = client_of(ada)
    assert hers.get("/people/").status_code == 403
    client_of(grace).post(f"/people/{ada.pk}/role/", {"role": "admin"})
    assert hers.get("/people/").status_code == 200


def test_the_change_of_a_role_is_written_down_with_both_roles(grace, ada):
    client_of(grace).post(f"/people/{ada.pk}/role/", {"role": "reviewer"})
    event = AuditEvent.objects.get(action="person.role_changed")
    assert (event.actor, event.target_id, event.data) == (grace, str(ada.pk), {"before": "rater", "after": "reviewer"})


def test_a_role_that_does_not_exist_is_refused(grace, ada):
    assert client_of(grace).post(f"/people/{ada.pk}/role/", {"role": "emperor"}).status_code == 400
    ada.refresh_from_db()
    assert ada.role == Role.RATER


@pytest.mark.parametrize(("path", "body"), [("role", {"role": "rater"}), ("active", {"active": "no"})])
def test_the_last_admin_stays_one(grace, path, body):
    answer = client_of(grace).post(f"/people/{grace.pk}/{path}/", body)
    grace.refresh_from_db()
    assert (answer.status_code, grace.role, grace.is_active) == (409, Role.ADMIN, True)


def test_an_inactive_admin_does_not_count_as_another(grace):
    other = person(Role.ADMIN, name="gus")
    services.set_active(other, to=False, by=grace)
    with pytest.raises(services.LastAdmin):
        services.change_role(grace, to=Role.RATER, by=grace)


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_who_leave_at_once_one_stays():
    two = [person(Role.ADMIN, name=name) for name in ("gus", "greta")]
    barrier, refused = threading.Barrier(2), []

    def leave(who: User) -> None:
        barrier.wait()
        try:
            services.change_role(who, to=Role.RATER, by=who)
        except services.LastAdmin:
            refused.append(who)
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=[who]) for who in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), User.objects.filter(role=Role.ADMIN).count()) == (1, 1)


def test_whoever_is_deactivated_is_out_everywhere(grace, ada, client):
    hers = client_of(ada)
    services.create_token(ada, name="script", days=7, can_write=False)
    client_of(grace).post(f"/people/{ada.pk}/active/", {"active": "no"})

    assert hers.get("/").status_code == 302
    assert client.post("/login/", {"username": "ada", "password": PASSWORD}).status_code == 200  # the form again
    assert not ApiToken.objects.exists()


def test_a_new_password_ends_the_sessions_under_the_old_one(grace, ada):
    hers = client_of(ada)
    client_of(grace).post(f"/people/{ada.pk}/password/")
    assert hers.get("/").status_code == 302


def test_an_admin_does_not_reset_her_own_password_without_the_old_one(grace):
    assert client_of(grace).post(f"/people/{grace.pk}/password/").status_code == 403


def test_changing_ones_own_password_needs_the_old_one_and_ends_other_sessions(ada):
    here, elsewhere = client_of(ada), client_of(ada)
    new = {"new_password1": "another fine pass phrase", "new_password2": "another fine pass phrase"}
    assert here.post("/password/", {"old_password": "a guess", **new}).status_code == 400
    assert here.post("/password/", {"old_password": PASSWORD, **new}).status_code == 302
    assert (here.get("/").status_code, elsewhere.get("/").status_code) == (200, 302)


def test_a_simulated_rater_is_marked_and_stays_a_rater(grace):
    robot = person(Role.RATER, name="robot", is_simulated=True)
    assert 'class="simulated"' in client_of(grace).get("/people/").content.decode()
    assert client_of(grace).post(f"/people/{robot.pk}/role/", {"role": "admin"}).status_code == 400


def test_the_list_of_people_takes_a_fixed_number_of_queries(grace, django_assert_max_num_queries):
    for number in range(60):
        person(Role.RATER, name=f"rater{number:02}")
    hers = client_of(grace)
    with django_assert_max_num_queries(4):
        first = hers.get("/people/?role=rater").content.decode()
    assert "rater49" in first and "rater50" not in first
    onward = re.search(r'href="([^"]+)" rel="next"', first).group(1).replace("&amp;", "&")
    assert "rater50" in hers.get(onward).content.decode()
