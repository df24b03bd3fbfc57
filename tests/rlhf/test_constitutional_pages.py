"""The pages and the API of constitutional runs, as an admin, a researcher, a rater and a program meet them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from rlhf.constitutional_status import status_of
from rlhf.models import CaiStage, CaiState, ConstitutionalRun
from rlhf.services.constitutional.gate import go_through
from rlhf.services.constitutional.start import start_constitutional
from runs.models import Run, RunState
from tests.accounts.people import client_of, person
from tests.annotation.test_ai_feedback import sabotaged, wise
from tests.rlhf.constitutional import judged_run, makings_of, preferences, with_answers
from tests.runs.conftest import a_model
from tests.runs.test_estimates import done

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(db):
    return person(Role.ADMIN)


@pytest.fixture
def makings(grace):
    return makings_of(grace)


@pytest.fixture
def judged(makings, tmp_path):
    return lambda judge: judged_run(judge, makings, folder=tmp_path)


@pytest.fixture
def admin(grace) -> Client:
    return client_of(grace)


def form_of(makings, **other):
    return {
        "name": "harmless", "constitution": makings["constitution"].pk, "model": makings["model"].pk,
        "red_team": makings["red_team"].pk, "helpful": makings["helpful"].pk, "preset": "tiny", "policy": "dpo",
        "critic": "rules", "rounds": 2, "people_share": 40, "ai_share": 60, "accuracy": 0.7, "kappa": 0.3, "fewest": 12, **other,
    }  # fmt: skip


def body_of(makings, **other):
    return {name: makings[name].name for name in ("constitution", "model", "red_team", "helpful")} | {
        "preset": "tiny",
        **other,
    }


def post(client: Client, address: str, /, *args, **body):
    return client.post(reverse(address, args=args), body, content_type="application/json")


# Planning


def test_one_is_planned_and_started_from_its_form(admin, makings):
    human, rater = preferences("helpfulness", 9), person(Role.RATER)
    shown = admin.get(reverse("constitutional_new")).content.decode()
    assert "red (60 to train on, 4 held out)" in shown and "rules-v1" in shown and rater.username in shown
    answer = admin.post(reverse("constitutional_new"), form_of(makings, human=human.pk, raters=[rater.pk]))
    new = ConstitutionalRun.objects.get()
    assert answer.headers["Location"] == reverse("constitutional_run", args=[new.pk])
    assert new.plan["people_share"] == 40 and new.plan["ai_share"] == 0.6 and new.plan["rule"]["fewest"] == 12
    assert new.human == human and [one.user for one in new.campaign.membership_set.all()] == [rater]
    chains = new.stages.get(stage=CaiStage.CHAINS).run
    assert chains.recipe["critic"] == "rules" and chains.recipe["rounds"] == 2
    page = admin.get(answer.headers["Location"]).content.decode()
    assert "5 runs wait for a worker" in page and "Preference model" in page and "Let the feedback through" not in page


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "two words"}, "valid “slug”"),
        ({"model": ""}, "This field is required"),
        ({"critic": "feedback"}, "Choose the model that criticises and judges."),
        ({"critic": "endpoint", "url": "http://127.0.0.1/v1"}, "An endpoint needs an address"),
        ({"critic": "endpoint", "url": "file:///etc/passwd", "served": "x"}, "endpoint.url"),
        ({"rounds": 17}, "less than or equal to 16"),
    ],
)
def test_what_does_not_fit_is_told_beside_what_was_filled_in_and_nothing_starts(admin, makings, wrong, sentence):
    answer = admin.post(reverse("constitutional_new"), form_of(makings, **wrong))
    shown = answer.content.decode()
    assert answer.status_code == 400 and sentence in shown and 'value="40"' in shown
    assert not Run.objects.exists() and not ConstitutionalRun.objects.exists()


def test_a_name_that_is_taken_is_told(admin, makings):
    admin.post(reverse("constitutional_new"), form_of(makings))
    num = Run.objects.count()
    answer = admin.post(reverse("constitutional_new"), form_of(makings))
    assert answer.status_code == 409 and "taken" in answer.content.decode()
    assert ConstitutionalRun.objects.count() == 1 and Run.objects.count() == num


def test_an_endpoint_criticises_and_judges(admin, makings):
    given = form_of(
        makings, critic="endpoint", url="http://127.0.0.1:9/v1", served="judge", key_variable="STEADYHAND_KEY_X"
    )
    admin.post(reverse("constitutional_new"), given)
    plan = ConstitutionalRun.objects.get().plan
    for stage in ("chains", "judge"):
        assert plan["changes"][stage]["critic"] == "endpoint"
        assert plan["changes"][stage]["endpoint"]["key_variable"] == "STEADYHAND_KEY_X"


def test_what_can_be_tried_is_estimated_and_the_form_stays_filled_in(admin, makings):
    answer = admin.post(reverse("constitutional_new"), form_of(makings, estimate="yes"))
    probes = {run.method: run for run in Run.objects.all()}
    assert set(probes) == {"constitutional", "generate"} and all(run.is_estimate for run in probes.values())
    address = answer.headers["Location"]
    shown = admin.get(address).content.decode()
    assert 'value="40"' in shown and "Being tried." in shown and "some of it is being tried now" in shown
    done(probes["constitutional"], seconds=600.0)
    done(probes["generate"], seconds=64.0)
    part = admin.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<form" not in part and "10 min 00 s" in part
    assert "1 min 04 s" in part and part.count(">16 s<") == 3, "128 texts took 64 s: 4 each of 8 prompts take a quarter"
    admin.post(reverse("constitutional_new"), form_of(makings, estimate="yes"))
    assert Run.objects.count() == 2, "asked again, what is known is shown"


def test_other_stages_go_by_the_last_run_of_a_model_of_this_size(admin, makings):
    Run.objects.create(method="sft", preset="tiny", title="another size", recipe={}, state=RunState.SUCCEEDED, attempt=1,
                       used={"seconds": 5.0}, queued_at="2026-01-01T00:00Z").inputs.create(
        name="model", artifact=a_model("larger", role="sft", num_parameters=10).artifact)  # fmt: skip
    address = admin.post(reverse("constitutional_new"), form_of(makings, estimate="yes")).headers["Location"]
    assert "another size" not in admin.get(address).content.decode()
    like = Run.objects.create(method="sft", preset="tiny", title="the last one", recipe={}, state=RunState.SUCCEEDED,
                              attempt=1, used={"seconds": 50.0}, queued_at="2026-01-01T00:00Z")  # fmt: skip
    like.inputs.create(name="model", artifact=makings["model"].artifact)
    like.inputs.create(name="instructions", artifact=makings["red_team"].artifact)  # of 64 rows
    shown = admin.get(address).content.decode()
    # 64 prompts in 2 rounds, and 10 helpful answers
    assert "the last one" in shown and "1 min 48 s" in shown


# Deciding


def test_its_pages_stand_below_constitutions(admin, judged):
    here = f'href="{reverse("constitutions")}" aria-current="page"'
    new = judged(wise)
    for url in (reverse("constitutional_runs"), reverse("constitutional_run", args=[new.pk])):
        assert here in admin.get(url).content.decode()
    assert here not in admin.get(reverse("runs")).content.decode()


def test_the_gate_shows_agreement_and_lets_an_admin_through_once(admin, judged):
    new = with_answers(judged(wise))
    address = reverse("constitutional_run", args=[new.pk])
    shown = admin.get(address).content.decode()
    assert "At the gate: people have ranked" in shown and "Let the feedback through" in shown and "100 %" in shown
    assert "Harmful sentences" in shown and "Talk to him first." in shown and "After SFT" in shown
    admin.post(reverse("constitutional_through", args=[new.pk]))
    new.refresh_from_db()
    assert new.state == CaiState.LEARNING and not new.people_alone
    page = admin.get(address).content.decode()
    assert new.preferences.name in page and "Let the feedback through" not in page
    assert "by which it was decided" in page and 'data-passes="yes"' in page
    answer = admin.post(reverse("constitutional_through", args=[new.pk]))
    assert answer.status_code == 409 and "decided already" in answer.content.decode()


def test_a_closed_gate_says_why_and_offers_people(admin, judged):
    new = judged(sabotaged(0.35))
    shown = admin.get(reverse("constitutional_run", args=[new.pk])).content.decode()
    assert "does not agree with people well enough" in shown and "disabled>Let the feedback through" in shown
    answer = admin.post(reverse("constitutional_through", args=[new.pk]))
    assert answer.status_code == 409 and ConstitutionalRun.objects.get().state == CaiState.FEEDBACK
    told = admin.post(reverse("constitutional_people", args=[new.pk]), follow=True).content.decode()
    assert "more pairs go to people" in told
    admin.post(reverse("constitutional_through", args=[new.pk]), {"learn_from": "people"})
    assert ConstitutionalRun.objects.get().people_alone
    decided = admin.get(reverse("constitutional_run", args=[new.pk])).content.decode()
    assert "It learns from people's rankings alone" in decided and "does not agree with people well enough" in decided


def test_what_waits_for_a_decision_is_on_the_home_page(admin, judged):
    new = judged(wise)
    assert status_of(ConstitutionalRun.objects.get()).is_at_gate
    assert "waits for a decision" in admin.get("/").content.decode()
    admin.post(reverse("constitutional_close", args=[new.pk]))
    assert reverse("constitutional_run", args=[new.pk]) not in admin.get("/").content.decode()
    assert "nothing was learned" in admin.get(reverse("constitutional_runs")).content.decode()


def test_researchers_read_admins_decide_and_raters_see_nothing_of_it(judged):
    new = judged(wise)
    rex, rater = client_of(person(Role.RESEARCHER)), client_of(person(Role.RATER, name="dan"))
    shown = rex.get(reverse("constitutional_run", args=[new.pk])).content.decode()
    assert "An admin decides here." in shown and "Let the feedback through" not in shown
    for name in ("through", "people", "close"):
        assert rex.post(reverse(f"constitutional_{name}", args=[new.pk])).status_code == 403
    for name, args in (("constitutional_runs", []), ("constitutional_run", [new.pk]), ("constitutional_new", [])):
        assert rater.get(reverse(name, args=args)).status_code == 403


def test_a_list_of_many_takes_as_many_queries_as_one_of_few(makings, admin, django_assert_max_num_queries):
    for number in range(4):
        start_constitutional(f"harmless-{number}", **makings)
    with django_assert_max_num_queries(12):
        shown = admin.get(reverse("constitutional_runs")).content.decode()
    assert shown.count("5 runs wait for a worker") == 4


# Programs


def test_a_program_plans_estimates_and_decides(admin, makings, judged):
    told = post(admin, "api_constitutional_estimate", **body_of(makings)).json()
    assert [one["stage"] for one in told] == list(CaiStage.values) and told[0]["is_under_way"]
    rater = person(Role.RATER, name="dan")
    answer = post(admin, "api_constitutional_runs", name="by-program", raters=[rater.username],
                  changes={"chains": {"critic": "rules"}, "judge": {"critic": "rules"}}, **body_of(makings))  # fmt: skip
    assert answer.status_code == 201 and answer.json()["words"] == "5 runs wait for a worker"
    new = judged(wise)
    detail = admin.get(reverse("api_constitutional_run", args=[new.pk])).json()
    assert detail["gate"]["overall"]["passes"] and detail["gate"]["overall"]["accuracy"]["value"] == 1.0
    assert detail["gate"]["num_counted"] > 0 and detail["is_waiting"]
    assert post(admin, "api_constitutional_people", new.pk).json() == {"num_tasks": detail["gate"]["num_for_people"]}
    through = post(admin, "api_constitutional_through", new.pk).json()
    assert through["state"] == "learning" and through["preferences"] == new.name + "-harmless"
    assert through["gate"] == detail["gate"]
    assert post(admin, "api_constitutional_close", new.pk).json()["error"]["code"] == "already_decided"
    assert {one["name"] for one in admin.get(reverse("api_constitutional_runs")).json()["results"]} == {
        "harmless",
        "by-program",
    }


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"model": "nobody"}, "no_model"), ({"red_team": "nothing"}, "no_dataset"), ({"raters": ["nobody"]}, "no_rater"),
        ({"policy": "sft"}, "bad_plan"), ({"changes": {"dessert": {}}}, "bad_plan"),
        ({"changes": {"policy": {"no_such_field": 1}}}, "bad_recipe"), ({"constitution": "red"}, "bad_constitutional_run"),
    ],
)  # fmt: skip
def test_a_program_is_told_what_is_wrong_by_a_code(admin, makings, wrong, code):
    answer = post(admin, "api_constitutional_runs", **{**body_of(makings), "name": "x", **wrong})
    assert answer.json()["error"]["code"] == code and answer.status_code in (400, 404)
    assert not ConstitutionalRun.objects.exists() and not Run.objects.exists()


def test_the_policys_figures_come_once_it_has_answered(admin, judged, grace):
    new = judged(wise)
    go_through(new, user=grace)
    detail = admin.get(reverse("api_constitutional_run", args=[with_answers(new).pk])).json()
    harmless = {one["stage"]: one["harmless"][0] for one in detail["report"]}
    assert harmless == {"answers_before": 0.0, "answers_sft": 0.0, "answers_policy": 1.0}


# Votes


def test_people_are_asked_blind_from_the_page_once_all_three_models_have_answered(admin, judged, grace):
    new = judged(wise)
    address = reverse("constitutional_run", args=[new.pk])
    go_through(with_answers(new), user=grace)
    assert "Open blind votes" not in admin.get(address).content.decode(), "the policy has not answered yet"
    asked = admin.post(reverse("constitutional_votes", args=[new.pk]), {"overlap": 1})
    assert asked.status_code == 409 and "Still missing: Answers of the policy" in asked.content.decode()
    with_answers(new)
    assert "Open blind votes" in admin.get(address).content.decode()
    wrong = admin.post(reverse("constitutional_votes", args=[new.pk]), {"overlap": 1, "limit": 0})
    assert wrong.status_code == 400 and "At least one prompt of each kind" in wrong.content.decode()
    rater = new.campaign.membership_set.get().user
    admin.post(reverse("constitutional_votes", args=[new.pk]), {"overlap": 1, "limit": 2, "raters": [rater.pk]})
    shown = admin.get(address).content.decode()
    assert "harmless: blind votes" in shown and "Open blind votes" not in shown and "Nobody has ranked" in shown
    detail = admin.get(reverse("api_constitutional_run", args=[new.pk])).json()
    assert len(detail["blind_votes"]) == 6 and detail["blind_votes"][0]["num_votes"] == 0
    again = post(admin, "api_constitutional_votes", new.pk, overlap=2).json()
    assert again["votes"] == detail["votes"], "they are opened once"
