"""Hidden repeats: a task of her own comes again, some tasks later, in another order."""

from __future__ import annotations

import random

import pytest

from annotation.models import Assignment, Membership, QualityPlan, Ranking, RankingTask, TaskKind
from annotation.services import assign, stream
from annotation.services.evidence import evidence_of
from annotation.services.gold import retire_gold
from annotation.services.own_figures import own_figures
from annotation.services.progress import campaign_progress
from annotation.services.snapshot import freeze_snapshot
from tests.annotation.arrange import a_campaign
from tests.annotation.checks import a_plan, by_chance, gold_of, in_order, kinds_given, rank_next

PLACES = 40


@pytest.fixture
def repeated(ada, bea, monkeypatch):
    """Ada has ranked `PLACES` tasks, of which about every third was a repeat: the same ones in every run."""
    lot = random.Random(1)
    for module in (assign, stream):
        monkeypatch.setattr(module, "lot", lot)
    campaign = a_campaign(raters=[ada, bea], num_prompts=50, overlap=2)
    a_plan(campaign, repeat_share=0.4, repeat_after=5)
    for _ in range(PLACES):
        assert rank_next(campaign, ada)
    return campaign


def member_of(campaign, rater) -> Membership:
    return Membership.objects.get(campaign=campaign, user=rater)


@pytest.mark.slow(seconds=3)
def test_repeats_are_of_her_own_work_once_each_and_far_enough_behind(repeated, ada, bea):
    given = list(Assignment.objects.filter(rater=ada).order_by("leased_at", "pk").values_list("task", "task__repeats"))
    places = {task: place for place, (task, _) in enumerate(given, start=1)}
    repeats = [(place, source) for place, (_, source) in enumerate(given, start=1) if source is not None]
    assert 4 <= len(repeats) <= 28
    assert len({source for _, source in repeats}) == len(repeats)
    assert all(place - places[source] >= 5 for place, source in repeats)
    assert not RankingTask.objects.filter(kind=TaskKind.REPEAT).exclude(slots__reserved_for=ada).exists()
    while rank_next(repeated, bea, rule=in_order):
        pass
    assert not Ranking.objects.filter(rater=bea, task__repeats__in=[source for _, source in repeats]).filter(
        task__slots__reserved_for=ada
    ).exists()  # fmt: skip


def test_a_repeat_shows_the_same_texts_in_another_order(repeated, ada):
    for again in Assignment.objects.filter(rater=ada, task__kind=TaskKind.REPEAT):
        first = Assignment.objects.get(rater=ada, task=again.task.repeats)
        assert sorted(again.order) == sorted(first.order)
        assert again.order != first.order
        assert again.task.prompt_id == first.task.prompt_id


def test_who_says_the_same_again_is_consistent_and_who_guesses_is_not(repeated, ada, bea):
    plan = QualityPlan.objects.get()
    steady = evidence_of(member_of(repeated, ada), plan=plan).repeats
    assert steady.value == 1.0
    assert steady.num == 3 * kinds_given(repeated, ada).count("repeat")
    QualityPlan.objects.update(false_alarm=1e-9)  # so that she isn't paused before there is something to see
    for _ in range(PLACES):
        rank_next(repeated, bea, rule=by_chance(len(kinds_given(repeated, bea))))
    guessing = evidence_of(member_of(repeated, bea), plan=plan).repeats
    assert guessing.value < 0.85
    assert guessing.low < 0.5 < guessing.high + 0.35


def test_repeats_are_no_progress_and_in_no_snapshot(repeated):
    work = Ranking.objects.filter(task__kind=TaskKind.WORK).count()
    assert work < PLACES
    progress = campaign_progress(repeated)
    assert (progress.tasks, progress.slots, progress.rankings) == (50, 100, work)
    assert freeze_snapshot(repeated, name="s", user=None).query["num_rankings"] == work


def test_without_work_behind_her_nothing_is_repeated(ada):
    campaign = a_campaign(raters=[ada], num_prompts=12, overlap=1)
    a_plan(campaign, repeat_share=0.5, repeat_after=100)
    while rank_next(campaign, ada):
        pass
    assert kinds_given(campaign, ada) == ["work"] * 12


def test_her_own_figures_count_time_over_everything_and_agreement_over_work_alone(repeated, ada, bea):
    Ranking.objects.filter(rater=ada).update(seconds=30.0)
    figures = own_figures(repeated, rater=ada)
    assert (figures.seconds, figures.num_timed, figures.agreement) == (30.0, PLACES, None)
    a_plan(repeated, shows_agreement=True)
    alone = own_figures(repeated, rater=ada).agreement
    assert alone.value is None
    assert "two raters on the same task" in alone.why
    for _ in range(10):
        rank_next(repeated, bea)
    both = own_figures(repeated, rater=ada).agreement
    assert both.value == 1.0
    assert both.low < 1.0
    assert 0 < both.num <= 30


def test_an_answer_to_a_gold_that_was_retired_counts_for_nobody(ada):
    campaign = a_campaign(raters=[ada], num_prompts=30, overlap=1)
    golds = gold_of(campaign, 20)
    a_plan(campaign, gold_share=0.5)
    while "gold" not in kinds_given(campaign, ada):
        rank_next(campaign, ada)
    plan = QualityPlan.objects.get()
    assert evidence_of(member_of(campaign, ada), plan=plan).test.num == 1
    for gold in golds:
        retire_gold(gold, user=None)
    evidence = evidence_of(member_of(campaign, ada), plan=plan)
    assert evidence.test.num == 0
    assert evidence.gold.value is None
