"""Gold and repeats: partial credit, half for a tie where the gold has an order, and how far one agrees with oneself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from annotation.quality.gold import credit, credit_over, self_consistency
from annotation.quality.judgement import positions
from annotation.weak_order import parse_order
from tests.annotation.quality.simulated import a_random_order


def tiers(line):
    return parse_order(line).tiers


@pytest.mark.parametrize(
    ("said", "gold", "share"),
    [
        ("a>b>c", "a>b>c", 1.0),
        ("c>b>a", "a>b>c", 0.0),
        ("b>a>c", "a>b>c", 2 / 3),
        ("a=b=c", "a>b>c", 0.5),
        ("a>b>c", "a>b=c", 1.0),
        ("a>c>b", "a>b=c", 1.0),
        ("a=b>c", "a>b>c", 5 / 6),
    ],
)
def test_credit_is_the_share_of_gold_pairs_with_half_for_a_tie(said, gold, share):
    assert credit(tiers(said), tiers(gold)).value == pytest.approx(share)


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(0, 2**32))
def test_without_ties_credit_is_tau_on_the_scale_of_shares(k, seed):
    random = np.random.default_rng(seed)
    said, gold = (a_random_order("abcdefghi"[:k], random, tie_share=0.0) for _ in range(2))
    names = sorted(positions(said))
    tau = kendalltau([positions(said)[n] for n in names], [positions(gold)[n] for n in names]).statistic
    assert credit(said, gold).value == pytest.approx((1 + tau) / 2, abs=1e-9)


def test_a_gold_without_order_asks_nothing_and_says_so():
    found = credit(tiers("a>b"), tiers("a=b"))
    assert found.value is None and "orders no two" in found.why


def test_credit_over_several_weighs_pairs_and_has_an_interval():
    found = credit_over([(tiers("a>b>c"), tiers("a>b>c")), (tiers("b>a"), tiers("a>b")), (tiers("a>b"), tiers("a=b"))])
    assert (found.value, found.num) == (0.75, 4)
    assert found.low < 0.75 < found.high


def test_self_consistency_counts_pairs_ordered_both_times():
    found = self_consistency([(tiers("a>b>c"), tiers("a>c>b")), (tiers("a=b>c"), tiers("b>a>c"))])
    assert (found.value, found.num) == (0.8, 5)
    assert self_consistency([(tiers("a=b"), tiers("a>b"))]).value is None
