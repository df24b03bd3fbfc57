"""Invitations by link: for as many people as they say, until a time, unless they are revoked; and no more is told than that."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role, User
from annotation.models import Campaign, CampaignState, Invitation, JoinAttempt, Membership, Redemption
from annotation.services.campaigns import remove_rater, set_state
from annotation.services.invitations import (
    MOST_KNOCKS,
    BadInvitation,
    CannotJoin,
    NotInvited,
    hash_of,
    invite,
    join,
    join_as_new,
    revoke,
)
from annotation.tasks import sweep_doors
from audit.models import AuditEvent
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person

pytestmark = pytest.mark.django_db

SECRET = "seven plain violets"


@pytest.fixture
def grace(db) -> User:
    return a_person("grace", role=Role.ADMIN)


@pytest.fixture
def campaign(grace) -> Campaign:
    return a_campaign(num_prompts=2)


def door(token: str) -> str:
    return reverse("join", args=[token])


def knocks_with(client: Client, token: str, *, username: str = "eve", password: str = SECRET, again: str = ""):
    return client.post(door(token), {"username": username, "password": password, "again": again or password})


def test_the_database_has_the_hash_of_a_link_and_the_log_has_neither(campaign, grace):
    made, token = invite(campaign, max_uses=3, days=7, user=grace)
    assert made.token_hash == hash_of(token) != token
    assert len(token) >= 43
    assert timedelta(days=6.9) < made.expires_at - timezone.now() <= timedelta(days=7)
    written = str(list(AuditEvent.objects.values()))
    assert "campaign.invited" in written
    assert token not in written
    assert made.token_hash not in written


@pytest.mark.parametrize(("fields", "field"), [({"max_uses": 0}, "max_uses"), ({"max_uses": 1001}, "max_uses"),
                                               ({"days": 0}, "days"), ({"days": 91}, "days")])  # fmt: skip
def test_a_link_out_of_bounds_is_refused(campaign, grace, fields, field):
    with pytest.raises(BadInvitation) as told:
        invite(campaign, **{"max_uses": 1, "days": 1, "user": grace} | fields)
    assert told.value.data["field"] == field


def test_a_new_person_makes_an_account_and_ranks(campaign, grace, client):
    _, token = invite(campaign, max_uses=1, days=7, user=grace)
    page = client.get(door(token)).content.decode()
    assert campaign.name in page
    answer = knocks_with(client, token)
    assert answer.headers["Location"] == reverse("rank", args=[campaign.slug])
    eve = User.objects.get(username="eve")
    assert (eve.role, eve.check_password(SECRET), eve.is_active) == (Role.RATER, True, True)
    assert client.get(answer.headers["Location"]).context["task"] is not None
    assert Membership.objects.filter(campaign=campaign, user=eve, is_active=True).exists()
    assert Redemption.objects.get().is_new
    done = dict(
        AuditEvent.objects.filter(action__in=["campaign.joined", "person.created"]).values_list("action", "actor")
    )
    assert done == {"person.created": grace.pk, "campaign.joined": eve.pk}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"password": "short"}, "too short"),
        ({"password": "password1234"}, "too common"),
        ({"username": "plainviolets", "password": "plainviolets1"}, "too similar"),
        ({"again": "seven other violets"}, "two different passwords"),
        ({"username": "two words"}, "valid username"),
        ({"username": "grace"}, "somebody called grace already"),
        ({"username": ""}, "required"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_account_is_said_and_uses_nothing_up(campaign, grace, client, fields, sentence):
    _, token = invite(campaign, max_uses=1, days=7, user=grace)
    answer = knocks_with(client, token, **fields)
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert Invitation.objects.get().uses == 0
    assert list(User.objects.all()) == [grace]


def test_somebody_with_an_account_joins_with_it_and_once(campaign, grace):
    ada = a_person("ada")
    _, token = invite(campaign, max_uses=5, days=7, user=grace)
    browser = client_of(ada)
    assert "Join as ada" in browser.get(door(token)).content.decode()
    for _ in range(2):
        assert browser.post(door(token)).headers["Location"] == reverse("rank", args=[campaign.slug])
    assert Invitation.objects.get().uses == 1
    assert not Redemption.objects.get().is_new


def test_who_is_logged_out_is_shown_the_way_to_the_login_and_back(campaign, grace, client):
    _, token = invite(campaign, max_uses=1, days=7, user=grace)
    assert f"{reverse('login')}?next={door(token)}" in client.get(door(token)).content.decode()


def test_a_link_that_is_used_up_over_revoked_or_closed_lets_nobody_in_and_does_not_say_why(campaign, grace, client):
    sentences = set()
    for spoil in (
        lambda made: Invitation.objects.filter(pk=made.pk).update(uses=1),
        lambda made: Invitation.objects.filter(pk=made.pk).update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda made: revoke(made, user=grace),
        lambda made: set_state(campaign, to=CampaignState.CLOSED, user=grace),
    ):
        made, token = invite(campaign, max_uses=1, days=7, user=grace)
        assert client.get(door(token)).status_code == 200
        spoil(made)
        for answer in (client.get(door(token)), knocks_with(client, token)):
            assert answer.status_code == 404
            sentences.add(answer.context["error"].sentence)
        with pytest.raises(NotInvited):
            join(token, user=a_person(f"late-{made.pk}"))
        with pytest.raises(NotInvited):
            join_as_new(token, username=f"new-{made.pk}", password=SECRET)
    sentences.add(client.get(door("never-was")).context["error"].sentence)
    assert len(sentences) == 1
    assert not Membership.objects.exists()


def test_who_was_taken_out_does_not_come_back_by_a_link(campaign, grace):
    ada = a_person("ada")
    _, token = invite(campaign, max_uses=5, days=7, user=grace)
    join(token, user=ada)
    remove_rater(campaign, rater=ada, user=grace)
    with pytest.raises(CannotJoin, match="taken you out"):
        join(token, user=ada)
    assert Invitation.objects.get().uses == 1


def test_who_ranks_nothing_is_told_so(campaign, grace):
    _, token = invite(campaign, max_uses=5, days=7, user=grace)
    answer = client_of(grace).post(door(token))
    assert (answer.status_code, "only raters and reviewers rank" in answer.content.decode()) == (409, True)


def test_too_many_attempts_from_one_place_are_sent_away_and_forgotten_later(campaign, grace, client):
    _, token = invite(campaign, max_uses=5, days=7, user=grace)
    for _ in range(MOST_KNOCKS):
        assert client.get(door("wrong")).status_code == 404
    assert client.get(door("wrong")).status_code == 429
    assert knocks_with(client, token).status_code == 429
    assert not User.objects.filter(username="eve").exists()
    assert client.post(door(token), REMOTE_ADDR="192.0.2.7").status_code == 400
    assert "192.0.2" not in str(list(JoinAttempt.objects.values()))
    JoinAttempt.objects.update(at=timezone.now() - timedelta(minutes=16))
    assert sweep_doors() == JoinAttempt.objects.count() + MOST_KNOCKS + 1
    assert knocks_with(client, token).status_code == 302


def test_an_admin_makes_sees_and_revokes_links(campaign, grace):
    browser = client_of(grace)
    address = reverse("campaign_invitations", args=[campaign.slug])
    made = browser.post(address, {"max_uses": 2, "days": 3, "note": "the evening shift"})
    link = made.context["link"]
    assert link.startswith("http://testserver/join/")
    assert link in made.content.decode()
    join(link.rstrip("/").rsplit("/", 1)[1], user=a_person("ada"))
    page = browser.get(address).content.decode()
    assert link not in page
    assert "the evening shift" in page
    assert "1 of 2" in page
    assert "ada" in page
    browser.post(reverse("campaign_invitation_revoke", args=[campaign.slug, Invitation.objects.get().pk]))
    assert "Revoked" in browser.get(address).content.decode()
    assert browser.post(address, {"max_uses": 0, "days": 3}).status_code == 400


def test_the_api_tells_a_link_once(campaign, grace):
    client = client_of(grace)
    address = f"/api/v1/annotation/campaigns/{campaign.slug}/invitations/"
    made = client.post(address, {"max_uses": 2}, content_type="application/json")
    assert made.status_code == 201
    assert join(made.json()["link"].rstrip("/").rsplit("/", 1)[1], user=a_person("ada")).campaign == campaign
    [row] = client.get(address).json()["results"]
    assert (row["uses"], "link" in row, "token_hash" in row) == (1, False, False)
    revoked = client.post(f"{address}{row['id']}/revocation/")
    assert revoked.json()["revoked_at"]
    assert client.post(address, {"max_use": 2}, content_type="application/json").status_code == 400


@pytest.mark.parametrize("role", [Role.RATER, Role.REVIEWER, Role.RESEARCHER])
def test_only_admins_make_links(campaign, role):
    browser = client_of(a_person("someone", role=role))
    assert browser.get(reverse("campaign_invitations", args=[campaign.slug])).status_code == 403
    assert browser.get(f"/api/v1/annotation/campaigns/{campaign.slug}/invitations/").status_code == 403
