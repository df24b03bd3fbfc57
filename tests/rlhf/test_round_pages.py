"""The pages and the API of rounds, as an admin, a researcher and a program meet them."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from registry.models import Alias
from rlhf.models import Round, RoundState
from runs.models import Run
from tests.accounts.people import client_of, person
from tests.rlhf.conftest import finish

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(grace) -> Client:
    return client_of(grace)


@pytest.fixture
def rex() -> Client:
    return client_of(person(Role.RESEARCHER))


def form_of(makings) -> dict[str, str]:
    return {
        "model": str(makings.model.pk), "preferences": str(makings.preferences.pk), "prompts": str(makings.prompts.pk),
        "preset": "tiny",
    }  # fmt: skip


def body_of(makings, **other: object) -> dict[str, object]:
    return {
        "campaign": makings.campaign.slug, "model": "writer", "preferences": "rankings-1", "prompts": "questions",
        "preset": "tiny", **other,
    }  # fmt: skip


def post(client: Client, name: str, *args: object, **body: object):
    return client.post(reverse(name, args=args), body, content_type="application/json")


def test_a_round_is_started_from_its_campaign(admin, makings):
    address = reverse("round_new", args=[makings.campaign.slug])
    form = admin.get(address).content.decode()
    assert "writer" in form and "rankings-1 (9 comparisons)" in form and "questions (6 to train on, 3 held out)" in form
    answer = admin.post(address, form_of(makings))
    turn = Round.objects.get()
    assert answer.headers["Location"] == reverse("round", args=[turn.pk])
    shown = admin.get(answer.headers["Location"]).content.decode()
    assert "5 runs wait for a worker" in shown and "Promote to" not in shown


@pytest.mark.parametrize("value", ["", "junk", str(uuid.UUID(int=7))])
@pytest.mark.parametrize("field", ["model", "preferences", "prompts"])
def test_an_empty_or_stale_choice_is_told_on_the_form(admin, makings, field, value):
    answer = admin.post(reverse("round_new", args=[makings.campaign.slug]), {**form_of(makings), field: value})
    assert answer.status_code == 400
    assert "from the list." in answer.content.decode()
    assert not Run.objects.exists()


def test_an_admin_promotes_on_the_page_and_a_second_click_elsewhere_is_told(admin, start):
    turn = start()
    policies = finish(turn)
    shown = admin.get(reverse("round", args=[turn.pk])).content.decode()
    assert shown.count("Promote to sft/current") == 2
    assert "KL to the reference, nats a completion" in shown and "n = 3 prompts" in shown
    form = {"model": policies["dpo"].pk, "current": ""}
    assert admin.post(reverse("round_promote", args=[turn.pk]), form).status_code == 302
    again = admin.post(reverse("round_promote", args=[turn.pk]), form)
    assert again.status_code == 409 and "decided already" in again.content.decode()
    assert "everyday-r1-dpo was promoted" in admin.get(reverse("round", args=[turn.pk])).content.decode()
    assert Alias.objects.get().model == policies["dpo"]


def test_an_admin_declines_on_the_page(admin, start):
    turn = start()
    finish(turn)
    assert admin.post(reverse("round_decline", args=[turn.pk])).status_code == 302
    assert Round.objects.get().state == RoundState.DECLINED
    assert "Declined: the current model stays" in admin.get(reverse("round", args=[turn.pk])).content.decode()


def test_a_researcher_reads_rounds_and_decides_none(rex, start, makings):
    turn = start()
    policies = finish(turn)
    shown = rex.get(reverse("round", args=[turn.pk])).content.decode()
    assert "Promote to" not in shown and ">Decline<" not in shown
    form = {"model": policies["dpo"].pk, "current": ""}
    assert rex.post(reverse("round_promote", args=[turn.pk]), form).status_code == 403
    assert rex.post(reverse("round_decline", args=[turn.pk])).status_code == 403
    assert rex.get(reverse("round_new", args=[makings.campaign.slug])).status_code == 403
    assert post(rex, "api_rounds", **body_of(makings)).status_code == 403
    assert post(rex, "api_round_promote", turn.pk, model="everyday-r1-dpo", current=None).status_code == 403
    assert post(rex, "api_round_decline", turn.pk).status_code == 403
    assert rex.get(reverse("api_round", args=[turn.pk])).json()["state"] == "open"


def test_simulated_rankings_are_marked_wherever_a_round_shows(rex, start, makings):
    makings.preferences.is_simulated = True
    makings.preferences.save()
    turn = start()
    for address in (reverse("rounds"), reverse("round", args=[turn.pk]), reverse("home")):
        assert 'class="simulated' in rex.get(address).content.decode(), address


def test_the_home_page_puts_rounds_that_wait_for_a_decision_first(admin, start):
    waiting = start()
    finish(waiting)
    start()
    shown = admin.get(reverse("home")).content.decode()
    assert shown.count("waits for a decision") == 1
    assert shown.index("Everyday, round 1") < shown.index("Everyday, round 2")


def test_lists_and_home_cost_the_same_however_many_rounds_there_are(rex, start, django_assert_max_num_queries):
    def cost(address: str) -> int:
        with django_assert_max_num_queries(60) as seen:
            assert rex.get(address).status_code == 200
        return len(seen)

    finish(start())
    addresses = [reverse("rounds"), reverse("api_rounds"), reverse("home")]
    before = [cost(address) for address in addresses]
    for _ in range(3):
        finish(start())
    assert [cost(address) for address in addresses] == before


def test_a_program_starts_a_round_and_reads_how_far_it_is(admin, makings):
    answer = post(admin, "api_rounds", **body_of(makings))
    assert answer.status_code == 201, answer.json()
    told = answer.json()
    assert (told["campaign"], told["number"], told["words"]) == ("everyday", 1, "5 runs wait for a worker")
    assert [stage["stage"] for stage in told["stages"]] == ["reward", "dpo", "ppo", "evaluate_dpo", "evaluate_ppo"]
    assert [turn["id"] for turn in admin.get(reverse("api_rounds")).json()["results"]] == [told["id"]]


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"campaign": "nowhere"}, 404, "no_campaign"),
        ({"model": "nobody"}, 404, "no_model"),
        ({"prompts": "nothing"}, 404, "no_dataset"),
        ({"preferences": "questions"}, 400, "bad_round"),
        ({"preset": "huge"}, 400, "bad_round"),
        ({"state": "promoted"}, 400, "invalid"),
    ],
)
def test_a_program_is_told_what_is_wrong_with_a_round(admin, makings, wrong, status, code):
    answer = post(admin, "api_rounds", **body_of(makings, **wrong))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not Round.objects.exists()


def test_a_program_promotes_only_over_the_model_it_has_seen(admin, start):
    turn = start()
    finish(turn)
    promote = {"model": "everyday-r1-ppo", "current": "writer"}
    refused = post(admin, "api_round_promote", turn.pk, **promote)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "alias_moved")
    told = post(admin, "api_round_promote", turn.pk, **{**promote, "current": None}).json()
    assert (told["state"], told["promoted"], told["decided_by"]) == ("promoted", "everyday-r1-ppo", "grace")
    assert told["policies"][1]["figures"][0]["difference"] == 1.25
    assert post(admin, "api_round_decline", turn.pk).status_code == 409
