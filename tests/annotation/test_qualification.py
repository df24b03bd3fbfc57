"""The test before a campaign: its tasks first, a verdict in one sentence after the last, each explained, and again."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotation.models import Membership, Ranking, Standing, StandingChange, TaskKind
from annotation.quality.judgement import Measure
from annotation.services.assign import lease_next
from annotation.services.campaigns import add_raters
from annotation.services.desk import desks_of
from annotation.services.gold import retire_gold
from annotation.services.leases import skip
from annotation.services.progress import campaign_progress
from annotation.services.qualification import TooFewTests, passes, try_again
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.snapshot import NoRankings, freeze_snapshot
from annotation.services.standing import DidNotPass, lift, pause
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission
from tests.annotation.checks import (
    a_plan,
    gold_of,
    in_order,
    kinds_given,
    rank_next,
    reversed_order,
    standing_of,
    texts_on,
)


@pytest.fixture
def cleo(db):
    return a_person("cleo")


@pytest.fixture
def tested(ada, cleo):
    """Ada was there before the test was; Cleo joins after it, and takes five of eight tasks."""
    campaign = a_campaign(raters=[ada], num_prompts=12, overlap=2)
    gold_of(campaign, 8, kind=TaskKind.TEST)
    a_plan(campaign, num_tests=5, pass_mark=0.75)
    add_raters(campaign, raters=[cleo], user=None)
    return campaign


def take(campaign, rater, *, rule=in_order, count=5) -> None:
    for _ in range(count):
        assert rank_next(campaign, rater, rule=rule)


def test_who_joins_is_tested_and_who_was_there_is_not(tested, ada, cleo):
    assert standing_of(tested, cleo) == Standing.TESTED
    assert standing_of(tested, ada) == Standing.TRUSTED
    add_raters(tested, raters=[ada], user=None)
    assert standing_of(tested, ada) == Standing.TRUSTED


def test_the_test_comes_first_and_whoever_passes_goes_on_to_work(tested, cleo):
    for left in (5, 4, 3, 2, 1):
        assert desks_of(cleo)[0].num_waiting == left
        assert standing_of(tested, cleo) == Standing.TESTED
        rank_next(tested, cleo)
    assert standing_of(tested, cleo) == Standing.TRUSTED
    told = StandingChange.objects.get(membership__user=cleo)
    assert (told.cause, told.by) == ("test", None)
    assert told.reason == (
        "You passed the test: you ordered 100 % of 15 pairs as expected in 5 tasks (95 % interval 57 % to 100 %);"
        " 75 % were needed."
    )
    rank_next(tested, cleo)
    assert kinds_given(tested, cleo) == ["test"] * 5 + ["work"]


def test_whoever_fails_gets_no_work_and_is_told_in_one_sentence(tested, cleo):
    take(tested, cleo, rule=reversed_order)
    assert standing_of(tested, cleo) == Standing.FAILED
    assert StandingChange.objects.get().reason.startswith("You did not pass the test: you ordered 0 % of 15 pairs")
    with pytest.raises(DidNotPass):
        lease_next(tested, rater=cleo)
    page = client_of(cleo).get(reverse("rank", args=[tested.slug])).content.decode()
    assert "You did not pass the test of this campaign" in page
    assert desks_of(cleo)[0].num_waiting == 0


def test_the_bound_decides_too():
    assert passes(Measure(0.8, num=30, low=0.55, high=0.9), mark=0.75)
    assert not passes(Measure(0.8, num=6, low=0.45, high=0.97), mark=0.75)
    assert not passes(Measure(0.7, num=90, low=0.6, high=0.8), mark=0.75)
    assert not passes(Measure(None, why="Nothing."), mark=0.75)


def test_what_is_corrected_before_the_end_counts_as_corrected(tested, cleo):
    for _ in range(4):
        rank_next(tested, cleo)
    last = lease_next(tested, rater=cleo)
    first = Ranking.objects.filter(rater=cleo).order_by("created_at").first()
    letters = sorted(texts_on(first.assignment))
    correct_ranking(first, rater=cleo, submission=a_submission("=".join(letters)))  # all tied: half of it
    submit_ranking(last, rater=cleo, submission=a_submission(">".join(t[0] for t in in_order(texts_on(last)))))
    assert "ordered 90 % of 15 pairs" in StandingChange.objects.get().reason


def test_a_skipped_task_is_half_right_and_ends_the_test_as_any(tested, cleo):
    take(tested, cleo, count=4)
    skip(lease_next(tested, rater=cleo), rater=cleo)
    assert "ordered 90 % of 15 pairs" in StandingChange.objects.get().reason
    assert standing_of(tested, cleo) == Standing.TRUSTED


def test_a_test_is_no_progress_and_in_no_snapshot(tested, cleo):
    before = campaign_progress(tested)
    take(tested, cleo)
    assert campaign_progress(tested) == before
    with pytest.raises(NoRankings):
        freeze_snapshot(tested, name="s", user=None)


def test_each_task_is_explained_once_the_test_is_over_and_only_to_her(tested, ada, cleo):
    browser = client_of(cleo)
    where = reverse("test_explained", args=[tested.slug])
    take(tested, cleo, count=4)
    assert browser.get(where).status_code == 404
    banner = browser.get(reverse("rank", args=[tested.slug])).content.decode()
    assert "Qualification test, task 5 of 5" in banner
    take(tested, cleo, count=1)
    page = browser.get(where).content.decode()
    assert page.count("The lower number is better.") == 5
    assert page.count("100 % as expected") == 5
    assert "You passed the test" in page
    assert "secret-model" not in page
    assert client_of(ada).get(where).status_code == 404
    next_page = browser.get(reverse("rank", args=[tested.slug])).content.decode()
    assert "You passed the test" in next_page
    rank_next(tested, cleo)
    assert "You passed the test" not in browser.get(reverse("rank", args=[tested.slug])).content.decode()


def test_trying_again_needs_tasks_that_are_new_to_her(tested, cleo):
    take(tested, cleo, rule=reversed_order)
    with pytest.raises(TooFewTests, match="5 tasks, and there are 3"):
        try_again(tested, rater=cleo, user=None)
    more = gold_of(tested, 4, kind=TaskKind.TEST)
    assert len(more) == 4
    try_again(tested, rater=cleo, user=None)
    assert standing_of(tested, cleo) == Standing.TESTED
    assert client_of(cleo).get(reverse("test_explained", args=[tested.slug])).status_code == 404
    take(tested, cleo)
    assert standing_of(tested, cleo) == Standing.TRUSTED
    tasks = list(Ranking.objects.filter(rater=cleo).values_list("task", flat=True))
    assert len(set(tasks)) == 10
    page = client_of(cleo).get(reverse("test_explained", args=[tested.slug])).content.decode()
    assert page.count("The lower number is better.") == 5


def test_a_pause_in_the_test_lifts_into_the_test(tested, cleo):
    rank_next(tested, cleo)
    pause(tested, rater=cleo, reason="Wait a moment.", user=None)
    lift(tested, rater=cleo, user=None)
    assert standing_of(tested, cleo) == Standing.TESTED
    take(tested, cleo, count=4)
    assert standing_of(tested, cleo) == Standing.TRUSTED


def test_a_campaign_that_gave_its_test_up_lets_her_rank(tested, cleo):
    rank_next(tested, cleo)
    a_plan(tested, num_tests=0)
    assert rank_next(tested, cleo).task.kind == TaskKind.WORK
    assert standing_of(tested, cleo) == Standing.TRUSTED


def test_without_a_test_task_left_she_waits(tested, cleo):
    for gold in Membership.objects.get(user=cleo).campaign.tasks.filter(kind=TaskKind.TEST):
        retire_gold(gold.gold, user=None)
    with pytest.raises(TooFewTests):
        lease_next(tested, rater=cleo)
    page = client_of(cleo).get(reverse("rank", args=[tested.slug])).content.decode()
    assert "This campaign begins with a test" in page
