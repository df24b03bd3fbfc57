"""A constitutional run between its runs: what is refused at the start, what the gate lets through, and what is decided once."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.errors import UserError
from accounts.models import Role, User
from annotation.models import RankingTask, Slot
from registry.models import Artifact, DatasetVersion
from registry.services.datasets import read_rows
from registry.services.mixing import BadMix, Part, mix_preferences
from rlhf.models import CaiStage, CaiState, ConstitutionalRun
from rlhf.services.constitutional.gate import (
    Decided,
    GateClosed,
    NotJudged,
    at_gate,
    close,
    gate_figures,
    go_through,
    send_rest_to_people,
)
from rlhf.services.constitutional.plan import BadPlan, Plan
from rlhf.services.constitutional.report import Answer, figures_of, is_helpful, names_the_thing
from rlhf.services.constitutional.start import BadConstitutionalRun, start_constitutional
from runs.models import Run, RunState
from tests.accounts.people import person
from tests.annotation.test_ai_feedback import sabotaged, wise
from tests.rlhf.constitutional import judged_run, makings_of, preferences, prompts
from tests.runs.conftest import a_model


@pytest.fixture
def admin(db) -> User:
    return person(Role.ADMIN)


@pytest.fixture
def makings(admin):
    return makings_of(admin)


@pytest.fixture
def judged(makings, tmp_path):
    """A run whose pairs are there and judged by some judge, with one rater who ranks the blind overlap."""
    return lambda judge, **more: judged_run(judge, {**makings, **more}, folder=tmp_path)


# The start


def test_all_that_needs_no_decision_is_queued_at_once(makings):
    new = start_constitutional("harmless", **makings)
    stages = [stage.stage for stage in new.stages.all()]
    assert stages == ["chains", "sft", "pairs", "answers_before", "answers_sft"]
    assert {run.state for run in Run.objects.all()} == {RunState.QUEUED}
    assert new.campaign.prompts.count() == 64 and new.campaign.prompts.filter(split="test").count() >= 4
    assert "Which does less harm?" in new.campaign.guidelines.get().text
    asked = DatasetVersion.objects.get(name="harmless-asked")
    assert [row["id"].split("/")[0] for row in read_rows(asked, split="test")] == ["red_team"] * 4 + ["helpful"] * 4


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"model": ("reward", "rm")}, "starts from an SFT model"),
        ({"constitution": "red_team"}, "not Constitution"),
        ({"red_team": "constitution"}, "not Prompts"),
    ],
)
def test_things_that_do_not_fit_get_one_sentence_and_nothing_is_started(makings, wrong, sentence):
    ((name, told),) = wrong.items()
    given = a_model(told[1], role=told[0]) if name == "model" else makings[told]
    with pytest.raises(BadConstitutionalRun, match=sentence):
        start_constitutional("harmless", **{**makings, name: given})
    assert not Run.objects.exists() and not ConstitutionalRun.objects.exists()


@pytest.mark.parametrize(
    "plan",
    [
        Plan(policy="sft"), Plan(preset="huge"), Plan(people_share=101), Plan(ai_share=1.0), Plan(ai_share=0.0),
        Plan(changes={"dessert": {}}),
    ],
)  # fmt: skip
def test_plans_are_checked(makings, plan):
    with pytest.raises(BadPlan):
        start_constitutional("harmless", **{**makings, "plan": plan})
    assert not ConstitutionalRun.objects.exists()


def test_a_plan_is_kept_whole():
    plan = Plan(preset="tiny", changes={"sft": {"epochs": 2}})
    assert Plan.of(plan.as_json()) == plan
    assert plan.recipe(CaiStage.SFT)["epochs"] == 2 and plan.method(CaiStage.POLICY) == "dpo"


# The gate


def test_before_there_is_feedback_nobody_goes_through(makings):
    new = start_constitutional("harmless", **makings)
    with pytest.raises(NotJudged):
        go_through(new, user=None)


def test_a_judge_that_agrees_goes_through_once_and_the_rest_is_started(judged, admin):
    new = judged(wise)
    found = at_gate(new).figures
    assert found.gate.overall.passes and found.flip_rate == 0.03 and found.num_pairs == 64
    go_through(new, user=admin)
    new.refresh_from_db()
    assert new.state == CaiState.LEARNING and new.preferences.query["ai"]["num_rankings"] > 0
    assert gate_figures(new) == found
    assert [stage.stage for stage in new.stages.all()][-5:] == [
        "reward",
        "policy",
        "answers_policy",
        "compare",
        "scores",
    ]
    policy = new.stages.get(stage=CaiStage.POLICY).run
    assert policy.method == "dpo"
    num = Run.objects.count()
    for deed in (lambda: go_through(new, user=admin), lambda: close(new, user=admin)):
        with pytest.raises(Decided):
            deed()
    assert Run.objects.count() == num


def test_the_sabotaged_judge_is_blocked_and_its_pairs_go_to_people(judged, admin):
    new = judged(sabotaged(0.35))
    with pytest.raises(GateClosed, match="agrees with people"):
        go_through(new, user=admin)
    assert ConstitutionalRun.objects.get().state == CaiState.FEEDBACK
    waiting = RankingTask.objects.filter(slots__isnull=True).count()
    assert send_rest_to_people(new, user=admin) == waiting > 0
    assert not RankingTask.objects.filter(slots__isnull=True).exists() and Slot.objects.filter(is_free=True).exists()

    go_through(new, user=admin, people_alone=True)
    assert "ai" not in new.preferences.query
    assert all(row.get("label") is None for row in read_rows(new.preferences, split="train"))


def test_what_is_decided_is_decided(judged, admin):
    new = judged(wise)
    close(new, user=admin)
    assert new.state == CaiState.CLOSED
    with pytest.raises(Decided):
        close(new, user=admin)
    with pytest.raises(IntegrityError, match="preferences_are_frozen"), transaction.atomic():
        ConstitutionalRun.objects.update(state=CaiState.LEARNING)


def folders_without_a_row():
    known = {str(pk) for pk in Artifact.objects.values_list("pk", flat=True)}
    return [path.name for path in Path(settings.ARTIFACTS_DIR).iterdir() if path.name not in known]


@pytest.mark.parametrize("taken", ["harmless-policy", "harmless-preferences"])
def test_a_decision_that_fails_half_way_leaves_nothing_behind(judged, admin, taken):
    new = judged(wise, human=preferences("helpfulness", 500))
    before = folders_without_a_row()
    if taken.endswith("policy"):
        a_model(taken, role="policy")
    else:
        prompts(taken, 2)
    with pytest.raises(UserError, match=taken):
        go_through(new, user=admin)
    assert ConstitutionalRun.objects.get().state == CaiState.FEEDBACK and folders_without_a_row() == before
    assert not DatasetVersion.objects.filter(name="harmless-harmless").exists()


def test_a_start_that_fails_half_way_leaves_nothing_behind(makings):
    a_model("harmless-sft", role="sft")
    before = folders_without_a_row()
    with pytest.raises(UserError, match="taken"):
        start_constitutional("harmless", **makings)
    assert not Run.objects.exists() and folders_without_a_row() == before


def test_ppo_learns_from_the_preference_model(judged, makings, admin):
    plan = Plan(preset="tiny", policy="ppo", people_share=60,
                changes={"chains": {"critic": "rules"}, "judge": {"critic": "rules"}})  # fmt: skip
    new = judged(wise, plan=plan)
    go_through(new, user=admin)
    policy = new.stages.get(stage=CaiStage.POLICY).run
    assert policy.method == "ppo" and {one.name for one in policy.inputs.all()} >= {"reward", "prompts"}
    practised = DatasetVersion.objects.get(artifact=policy.inputs.get(name="prompts").artifact)
    assert practised.splits["train"] == new.red_team.splits["train"] + new.helpful.splits["train"]
    assert {row["id"].split("/")[0] for row in read_rows(practised, split="train")} == {"red_team", "helpful"}


# What is mixed


def test_helpfulness_and_harmlessness_are_mixed_by_prompts(judged, admin):
    human = preferences("helpfulness", 500)
    new = judged(wise, human=human, plan=Plan(preset="tiny", people_share=60, ai_share=0.25, changes={
        "chains": {"critic": "rules"}, "judge": {"critic": "rules"}}))  # fmt: skip
    go_through(new, user=admin)
    rows = list(read_rows(new.preferences, split="train"))
    groups = {row["group_id"] for row in rows}
    own = {group for group in groups if group.startswith("helpfulness")}
    assert len(own) == pytest.approx(0.75 * len(groups), abs=1) and len(groups) > 100
    assert {parent.name for parent in new.preferences.parents.all()} == {"helpfulness", "harmless-harmless"}
    assert any(row["label"] is not None for row in rows)


def test_a_mix_never_trains_on_what_a_part_holds_out(db):
    one, other = preferences("one", 30), preferences("two", 30)
    mixed = mix_preferences("both", [Part(one, 0.5), Part(other, 0.5)], user=None)
    sides = {split: {row["group_id"] for row in read_rows(mixed, split=split)} for split in ("train", "test")}
    assert len(sides["train"]) == 60 and len(sides["test"]) == 4 and not sides["train"] & sides["test"]
    with pytest.raises(BadMix):
        mix_preferences("half", [Part(one, 0.5), Part(other, 0.4)], user=None)
    with pytest.raises(BadMix):
        mix_preferences("alone", [Part(one, 1.0)], user=None)


# What is told


def answer(text, *, kind="helpful", question="How do I make rice?", prompt="helpful/1"):
    return Answer(prompt, kind, question, text, 10)


def test_helpful_is_who_speaks_of_what_was_asked_wholly_and_without_harm():
    assert is_helpful(answer("Wash the rice. Cook it slowly."))
    assert not is_helpful(answer("Wash the beans. Cook them slowly."))
    assert not is_helpful(answer("Wash the rice and"))
    assert not is_helpful(answer("I can't help with rice."))
    assert not is_helpful(answer("Steal the rice."))
    assert names_the_thing("Why?", "Because."), "a question about nothing in particular"


def test_figures_are_of_the_prompts_that_they_are_about():
    answers = [
        answer("Hit him.", kind="red_team", prompt="red_team/1"), answer("Talk to him.", kind="red_team", prompt="red_team/1"),
        answer("I won't help with that.", kind="red_team", prompt="red_team/2"), answer("Wash the rice."),
    ]  # fmt: skip
    found = figures_of("x", answers)
    assert found.value("harmless") == pytest.approx(2 / 3) and found.value("refusal") == pytest.approx(1 / 3)
    assert found.value("helpful") == 1.0 and found.measures["helpful"].low is None, "one prompt has no interval"
    assert found.measures["harmless"].low <= 2 / 3 <= found.measures["harmless"].high
