"""Figures of agreement: equal to scipy's and to the textbooks' formulas, on rankings with ties and missing raters."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare, kendalltau

from annotation.quality.chance import (
    Level,
    alpha_of_places,
    alpha_of_votes,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
)
from annotation.quality.judgement import Judgement, positions, votes
from annotation.quality.measures import kendall_tau_b, kendall_w, pairwise_agreement
from annotation.services.agreement import alike_of
from annotation.weak_order import canonical, comparisons, parse_order
from tests.annotation.quality.simulated import a_crowd, a_random_order

NAMES = "abcdefghi"


@st.composite
def orders(draw: st.DrawFn, least: int = 2):
    names = NAMES[: draw(st.integers(least, 9))]
    return a_random_order(
        names, np.random.default_rng(draw(st.integers(0, 2**32))), tie_share=draw(st.sampled_from([0, 0.4]))
    )


@st.composite
def several_orders(draw: st.DrawFn):
    names = NAMES[: draw(st.integers(2, 9))]
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return [a_random_order(names, random, tie_share=0.3) for _ in range(draw(st.integers(2, 6)))]


def places(order, names):
    return [positions(order)[name] for name in names]


@settings(deadline=None)
@given(several_orders())
def test_tau_b_is_scipys(found):
    one, other = found[:2]
    names = sorted(positions(one))
    tau = kendalltau(places(one, names), places(other, names)).statistic
    measure = kendall_tau_b(one, other)
    if np.isnan(tau):
        assert measure.value is None and measure.why.endswith(".")
    else:
        assert measure.value == pytest.approx(tau, abs=1e-9)


def test_tau_compares_places_and_not_lists_of_texts():
    """Of the 576 pairs of orders of four texts, 296 get a wrong tau from the lists of texts as they were ranked."""
    wrong = worst = 0
    for one, other in itertools.product(itertools.permutations(range(4)), repeat=2):
        tau = kendall_tau_b(tuple((NAMES[i],) for i in one), tuple((NAMES[i],) for i in other)).value
        assert tau == pytest.approx(kendalltau(np.argsort(one), np.argsort(other)).statistic, abs=1e-9)
        error = abs(tau - kendalltau(one, other).statistic)
        wrong, worst = wrong + (error > 1e-9), max(worst, error)
    assert wrong == 296
    assert worst == pytest.approx(4 / 3)


def test_tau_of_a_cycle_is_a_third_below_nothing():
    """a > b > c against c > a > b: one pair of three alike. The lists of texts, read as ranks, would give the same here;
    against b > c > a > d for a > b > c > d they do not."""
    assert kendall_tau_b(parse_order("a>b>c").tiers, parse_order("c>a>b").tiers).value == pytest.approx(-1 / 3)
    one, other = parse_order("b>a>d>c").tiers, parse_order("c>a>b>d").tiers
    assert kendall_tau_b(one, other).value == pytest.approx(-1 / 3)
    assert kendalltau([1, 0, 3, 2], [2, 0, 1, 3]).statistic == pytest.approx(1 / 3)  # what the wrong axis gives


def test_tau_is_undefined_where_a_ranking_has_no_order_or_nothing_in_common():
    assert kendall_tau_b(parse_order("a=b=c").tiers, parse_order("a>b>c").tiers).value is None
    assert "fewer than two" in kendall_tau_b(parse_order("a>b").tiers, parse_order("b>c").tiers).why


def test_tau_is_taken_over_the_texts_that_both_ranked():
    assert kendall_tau_b(parse_order("a>b>c").tiers, parse_order("x>b>a").tiers).value == -1.0


@settings(deadline=None)
@given(several_orders())
def test_w_is_friedmans_statistic_on_its_scale(found):
    names = sorted(positions(found[0]))
    ranks = np.array([places(order, names) for order in found])
    measure = kendall_w(found)
    if len(names) < 3:
        return
    if all(len(order) == 1 for order in found):
        assert measure.value is None
        return
    chi = friedmanchisquare(*ranks.T).statistic
    assert measure.value == pytest.approx(chi / (len(found) * (len(names) - 1)), abs=1e-9)


def test_w_says_why_it_is_undefined():
    assert "different texts" in kendall_w([parse_order("a>b").tiers, parse_order("a>c").tiers]).why
    assert "two raters" in kendall_w([parse_order("a>b").tiers]).why
    assert "ties all" in kendall_w([parse_order("a=b").tiers] * 2).why


def naive_alpha(units, level):
    """Krippendorff's definition over all pairs of values, one by one."""
    units = [unit for unit in units if len(unit) > 1]
    flat = [value for unit in units for value in unit]
    counts = Counter(flat)

    def distance(a, b):
        if level == Level.NOMINAL:
            return float(a != b)
        if level == Level.INTERVAL:
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        return (
            (sum(counts[v] for v in counts if low <= v <= high) - (counts[a] + counts[b]) / 2) ** 2 if a != b else 0.0
        )

    observed = sum(
        distance(a, b) / (len(unit) - 1) for unit in units for a, b in itertools.permutations(unit, 2)
    ) / len(flat)
    expected = sum(distance(a, b) for a, b in itertools.permutations(flat, 2)) / (len(flat) * (len(flat) - 1))
    return 1 - observed / expected if expected else None


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 4).map(float), max_size=5), min_size=1, max_size=12), st.sampled_from(list(Level))
)
def test_alpha_is_its_definition_with_raters_missing(units, level):
    if not any(len(unit) > 1 for unit in units):
        assert krippendorff_alpha(units, level=level).value is None
        return
    expected, measure = naive_alpha(units, level), krippendorff_alpha(units, level=level)
    if expected is None:
        assert measure.value is None and "one and the same" in measure.why
    else:
        assert measure.value == pytest.approx(expected, abs=1e-9)


def test_alpha_is_that_of_krippendorffs_own_example():
    """Krippendorff 2011, section C: four observers, twelve units, values missing; nominal 0.743, interval 0.849."""
    a = [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None]
    b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3]
    c = [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None]
    d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None]
    units = [[float(v) for v in unit if v is not None] for unit in zip(a, b, c, d, strict=True)]
    assert krippendorff_alpha(units, level=Level.NOMINAL).value == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, level=Level.ORDINAL).value == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(units, level=Level.INTERVAL).value == pytest.approx(0.849, abs=5e-4)


def test_alphas_of_rankings_are_one_for_raters_alike_and_near_nothing_for_chance():
    alike = [Judgement("t", rater, parse_order("a>b=c>d").tiers) for rater in "xyz"]
    assert alpha_of_places(alike).value == alpha_of_votes(alike).value == 1.0
    random = np.random.default_rng(3)
    guessed = [Judgement(f"t{t}", r, a_random_order("abcd", random)) for t in range(400) for r in "xyz"]
    assert abs(alpha_of_places(guessed).value) < 0.05
    assert abs(alpha_of_votes(guessed).value) < 0.05


labels = st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from("pqr")), min_size=1, max_size=30)


@settings(deadline=None)
@given(labels)
def test_cohens_kappa_is_that_of_the_confusion_matrix(pairs):
    table = np.zeros((3, 3))
    for one, other in pairs:
        table["pqr".index(one), "pqr".index(other)] += 1 / len(pairs)
    chance = float(table.sum(axis=1) @ table.sum(axis=0))
    measure = cohen_kappa(*({str(i): pair[side] for i, pair in enumerate(pairs)} for side in (0, 1)))
    if chance > 1 - 1e-12:
        assert measure.value is None
    else:
        assert measure.value == pytest.approx((table.trace() - chance) / (1 - chance), abs=1e-9)


def test_fleiss_kappa_is_that_of_the_table_in_its_textbook():
    """The example with 14 raters, ten subjects and five categories, whose kappa is 0.210."""
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    items = [[str(c) for c, n in enumerate(row) for _ in range(n)] for row in table]
    assert fleiss_kappa(items).value == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_wants_as_many_labels_of_each_item():
    assert "different numbers" in fleiss_kappa([["a", "b"], ["a"]]).why
    assert "two labels" in fleiss_kappa([["a"], ["b"]]).why
    assert "one and the same" in fleiss_kappa([["a", "a"], ["a", "a"]]).why


def test_pairwise_agreement_is_what_the_campaigns_page_counts():
    crowd = a_crowd([0.8] * 6, num_tasks=60, k=5, seed=4, tie_below=0.4)
    tasks: dict[str, list[set[tuple[str, str]]]] = {}
    for judgement in crowd.judgements:
        pairs = comparisons(judgement.tiers) if len(judgement.tiers) > 1 else []
        tasks.setdefault(judgement.task, []).append({(pair.better, pair.worse) for pair in pairs})
    alike, pairs = map(sum, zip(*map(alike_of, tasks.values()), strict=True))
    found = pairwise_agreement(crowd.judgements)
    assert (found.value, found.num) == (pytest.approx(alike / pairs, abs=1e-12), pairs)


def test_the_bootstrap_interval_holds_the_truth_nineteen_times_in_twenty():
    crowds = [a_crowd([0.9] * 4, num_tasks=60, seed=seed) for seed in range(120)]
    found = [pairwise_agreement(crowd.judgements, num_resamples=400) for crowd in crowds]
    truth = 0.5 + np.arcsin(1 / (1 + 0.9**2)) / np.pi  # of two raters, by the bivariate normal's quadrant
    assert 0.89 <= np.mean([f.low <= truth <= f.high for f in found]) <= 1.0


def test_pairwise_agreement_is_undefined_without_two_raters_on_a_pair():
    assert pairwise_agreement([Judgement("t", "x", parse_order("a>b").tiers)]).value is None


@settings(deadline=None)
@given(orders())
def test_votes_and_places_tell_the_same_order(order):
    at = positions(order)
    assert sum(at.values()) == len(at) * (len(at) + 1) / 2
    assert all((at[b] > at[a]) - (at[b] < at[a]) == vote for (a, b), vote in votes(order).items())
    assert canonical(order).tiers == order
