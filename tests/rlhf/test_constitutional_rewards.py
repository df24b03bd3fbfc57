"""Rewards in the report of a constitutional run: what is scored by what, and what comes of it for each model and kind."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Role
from rlhf.models import CaiStage
from rlhf.services.constitutional.gate import go_through
from rlhf.services.constitutional.report import as_json, report_of
from tests.accounts.people import client_of, person
from tests.annotation.test_ai_feedback import wise
from tests.rlhf.constitutional import judged_run, makings_of, with_answers, with_rewards

pytestmark = pytest.mark.django_db


@pytest.fixture
def new(tmp_path):
    """Through the gate, and all three models have answered; nothing is scored yet."""
    new = judged_run(wise, makings_of(person(Role.ADMIN)), folder=tmp_path)
    return with_answers(go_through(new, user=None))


def test_all_three_models_answers_are_scored_by_the_runs_own_preference_model(new):
    runs = {stage.stage: stage.run for stage in new.stages.all()}
    inputs = {one.name: one.after or one.artifact for one in runs[CaiStage.SCORES].inputs.all()}
    assert inputs["reward"] == runs[CaiStage.REWARD] and runs[CaiStage.SCORES].output_name == ""
    answers = [runs[stage] for stage in (CaiStage.ANSWERS_BEFORE, CaiStage.ANSWERS_SFT, CaiStage.ANSWERS_POLICY)]
    assert [inputs[name] for name in ("completions", "completions_2", "completions_3")] == answers


def test_the_report_has_the_mean_reward_of_each_model_and_kind_once_it_is_there(new, tmp_path):
    before = report_of(new)[0].measures["reward_red_team"]
    assert before.value is None and "No reward model has scored" in before.why
    told = {one.stage: as_json(one) for one in report_of(with_rewards(new, folder=tmp_path / "scores"))}
    assert [told[stage]["reward_red_team"] for stage in told] == [[1.5] * 3, [11.5] * 3, [21.5] * 3]
    assert told["answers_policy"]["reward_helpful"] == [21.5] * 3 and told["answers_policy"]["num"] == 16


def test_the_page_of_the_run_tells_each_sets_mean(new, tmp_path):
    run = with_rewards(new, folder=tmp_path / "scores").stages.get(stage=CaiStage.SCORES).run
    page = client_of(person(Role.RESEARCHER)).get(reverse("run", args=[run.pk])).content.decode()
    for words in ("harmless-answers-before", "11.50", "95 %: 21.00 to 22.00, n = 8 prompts"):
        assert words in page
