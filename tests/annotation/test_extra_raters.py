"""One more rater for a task whose rankings differ: when, how many, and never more than the campaign says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import SkipMode, Slot
from annotation.quality.measures import mean_agreement
from annotation.services.assign import lease_next
from annotation.services.judge import Submission
from annotation.services.leases import skip
from annotation.services.progress import campaign_progress
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.rules import change_rules
from tests.annotation.arrange import a_campaign, a_person, a_submission


def of_texts(lease, order):
    """A submission in the order of the texts' own numbers, whatever letters she sees."""
    names = sorted(lease.order)
    letters = {completion: letter for letter, completion in lease.letters().items()}
    tiers = [[letters[names["abc".index(name)]] for name in tier.split("=")] for tier in order.split(">")]
    return Submission(a_submission().client_uuid, tiers)


@pytest.fixture
def divided(db):
    raters = [a_person(f"rater-{i}") for i in range(5)]
    campaign = a_campaign(raters=raters, num_prompts=1, overlap=2)
    return change_rules(campaign, user=None, extra_below=75, extra_most=4), raters


def say(campaign, rater, order):
    lease = lease_next(campaign, rater=rater)
    return submit_ranking(lease, rater=rater, submission=of_texts(lease, order))


def test_a_task_that_divides_its_raters_gets_one_more_at_a_time_up_to_the_maximum(divided):
    campaign, raters = divided
    counts = []
    for rater, order in zip(raters, ("a>b>c", "c>b>a", "a>b>c", "c>b>a"), strict=False):
        say(campaign, rater, order)
        counts.append(Slot.objects.count())
    assert counts == [2, 3, 4, 4]
    assert lease_next(campaign, rater=raters[4]) is None
    assert campaign_progress(campaign).slots_extra == 2
    assert sorted(Slot.objects.values_list("number", flat=True)) == [0, 1, 2, 3]


def test_no_more_are_asked_once_they_agree_enough(divided):
    campaign, raters = divided
    for rater, order in zip(raters, ("a>b>c", "a>c>b", "a>b>c"), strict=False):  # pairs: 2/3, 2/3, 1: mean 7/9
        say(campaign, rater, order)
    assert Slot.objects.count() == 3
    assert lease_next(campaign, rater=raters[3]) is None


def test_a_correction_that_makes_them_differ_asks_for_another_rater(divided):
    campaign, raters = divided
    say(campaign, raters[0], "a>b>c")
    second = say(campaign, raters[1], "a>b>c")
    assert Slot.objects.count() == 2
    correct_ranking(second, rater=raters[1], submission=of_texts(second.assignment, "c>b>a"))
    assert Slot.objects.count() == 3


def test_the_added_place_is_found_by_who_has_walked_past_it(divided):
    campaign, raters = divided
    assert lease_next(campaign, rater=raters[0]) is not None
    for rater, order in ((raters[1], "c>b>a"), (raters[0], "a>b>c")):
        say(campaign, rater, order)
    assert lease_next(campaign, rater=raters[2]) is not None


def test_a_skip_that_counts_as_done_leaves_agreement_unknown_and_adds_nobody(divided):
    campaign, raters = divided
    change_rules(campaign, user=None, skip_mode=SkipMode.DONE)
    skip(lease_next(campaign, rater=raters[0]), rater=raters[0])
    say(campaign, raters[1], "a>b>c")
    assert Slot.objects.count() == 2


def test_agreement_of_weak_orders_by_hand():
    strict, tied, reversed_ = [["a"], ["b"]], [["a", "b"]], [["b"], ["a"]]
    assert mean_agreement([strict, strict]).value == 1
    assert mean_agreement([tied, tied]).value == 1
    assert mean_agreement([strict, tied]).value == 0.5
    assert mean_agreement([strict, reversed_]).value == 0
    assert mean_agreement([strict, strict, reversed_]).value == pytest.approx(1 / 3)
    assert mean_agreement([[], []]).value == 1  # both say that it can't be ranked
    assert mean_agreement([[], strict]).value == 0
    assert mean_agreement([strict]).value is None


ORDERS = st.permutations("abcd").flatmap(
    lambda names: st.lists(st.integers(0, 3), min_size=4, max_size=4).map(
        lambda at: [[n for n, place in zip(names, at, strict=True) if place == tier] for tier in sorted(set(at))]
    )
)


@given(ORDERS, ORDERS, ORDERS)
def test_disagreement_is_a_distance_between_weak_orders(one, other, third):
    def apart(x, y):
        return 1 - mean_agreement([x, y]).value

    assert apart(one, one) == 0
    assert apart(one, other) == apart(other, one)
    assert apart(one, third) <= apart(one, other) + apart(other, third) + 1e-9
    assert 0 <= apart(one, other) <= 1
