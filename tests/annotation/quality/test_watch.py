"""Haste and leaning: won soon against one who does not read, and hardly ever against one who does."""

from __future__ import annotations

import random

import pytest

from annotation.quality.judgement import Order
from annotation.quality.sequential import PauseTest, guessed_credits, update
from annotation.quality.watch import Timed, share_as_shown, watch_haste, watch_leaning, won_at

SHOWN = ("a", "b", "c", "d")
ALPHA = 0.05


def by_hand(tiers: Order, *, lot: random.Random, lean: float) -> tuple[list[list[str]], tuple[str, ...]]:
    """Texts shown in random order; with a chance of `lean`, kept in that order."""
    shown = tuple(lot.sample(SHOWN, len(SHOWN)))
    return ([[name] for name in shown] if lot.random() < lean else [list(tier) for tier in tiers]), shown


def test_five_glances_are_enough_and_five_looks_are_not():
    assert watch_haste([Timed(1.0, 5000)] * 5, alpha=ALPHA / 10).decided_at == 3
    assert watch_haste([Timed(60.0, 5000)] * 500, alpha=ALPHA).decided_at is None


def test_one_who_stops_reading_after_two_hundred_is_found():
    rankings = [Timed(60.0, 5000)] * 200 + [Timed(1.0, 5000)] * 20
    assert 200 < watch_haste(rankings, alpha=0.001).decided_at <= 212


def test_a_ranking_without_anything_to_read_is_not_hasty():
    assert watch_haste([Timed(0.0, 0)] * 100, alpha=ALPHA).share == 0.0


def test_the_share_as_shown_is_of_ordered_pairs():
    assert share_as_shown([["a"], ["b"], ["c"], ["d"]], SHOWN) == 1.0
    assert share_as_shown([["d"], ["c"], ["b"], ["a"]], SHOWN) == 0.0
    assert share_as_shown([["b"], ["a", "c"]], SHOWN) == 0.5  # d is left out
    assert share_as_shown([["a", "b"]], SHOWN) is None


def test_clicking_through_is_found_in_either_direction_within_twenty():
    kept = [([[name] for name in SHOWN], SHOWN)] * 30
    turned = [([[name] for name in reversed(SHOWN)], SHOWN)] * 30
    for rankings in (kept, turned):
        assert watch_leaning(rankings, alpha=0.001).decided_at <= 20


def test_rankings_that_tie_all_say_nothing():
    watched = watch_leaning([([list(SHOWN)], SHOWN)] * 50, alpha=ALPHA)
    assert (watched.num, watched.decided_at) == (0, None)


@pytest.mark.slow
def test_false_alarms_stay_below_the_stated_rate_at_the_very_bounds():
    """A thousand raters at the edge of what is allowed, three hundred rankings each: hasty in 5 %, leaning in a fifth."""
    lot = random.Random(4)
    hasty = [
        watch_haste([Timed(1.0, 5000 if lot.random() < 0.05 else 10) for _ in range(300)], alpha=ALPHA).decided_at
        for _ in range(1000)
    ]
    leaning = [
        watch_leaning([by_hand([["a"], ["b"], ["c"], ["d"]], lot=lot, lean=0.2) for _ in range(300)], alpha=ALPHA)
        for _ in range(300)
    ]
    assert sum(end is not None for end in hasty) <= 1000 * ALPHA
    assert sum(one.decided_at is not None for one in leaning) <= 300 * ALPHA


def test_a_bet_that_never_gains_is_never_won():
    assert won_at([1.0] * 10_000, alpha=0.5) is None
    assert won_at([], alpha=0.5) is None
    assert won_at([0.5] * 50, alpha=0.9) is None


@pytest.mark.slow
def test_of_a_thousand_at_the_floor_no_more_are_paused_than_stated():
    """Credit of 75 % on average, in lumps as a guesser's are, at a rate of 1 %, over a hundred checks."""
    lot = random.Random(5)
    guessed = [credit for credit, _ in guessed_credits(4)]
    weights = [chance for _, chance in guessed_credits(4)]
    paused = 0
    for _ in range(1000):
        test = PauseTest(alpha=0.01, floor=0.75)
        for _ in range(100):
            credit = 1.0 if lot.random() < 0.5 else lot.choices(guessed, weights)[0]
            test = update(test, credit=credit, k=4)
        paused += test.is_paused
    assert paused <= 16  # 10 expected at most; 17 or more by chance in one of 40 trials
