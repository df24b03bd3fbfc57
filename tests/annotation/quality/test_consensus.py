"""Consensus: raters of known skill are told apart, spammers spoil it less than they spoil the majority, errors are honest."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.quality.consensus import consensus, majority
from annotation.quality.gold import credit
from annotation.quality.judgement import Judgement, positions, votes
from annotation.weak_order import parse_order
from tests.annotation.quality.simulated import SPAMMER, a_crowd, a_random_order, ranked


def crowd_of(*, num_honest, num_spammers, num_tasks, k=4, overlap=5, seed=0, noises=(0.3, 2.0)):
    """The crowd, and each rater's true chance to order a pair rightly: 1/2 + asin(1 / sqrt(1 + noise^2)) / pi."""
    drawn = np.random.default_rng(seed).uniform(*noises, size=num_honest).tolist()
    crowd = a_crowd([*drawn, *[SPAMMER] * num_spammers], num_tasks=num_tasks, k=k, overlap=overlap, seed=seed)
    skills = 0.5 + np.arcsin(1 / np.sqrt(1 + np.square(drawn))) / np.pi
    return crowd, np.concatenate([skills, np.full(num_spammers, 0.5)])


def error_of(orders, truth):
    """Mean share of pairs ordered wrongly, ties half."""
    random = np.random.default_rng(0)
    return np.mean([1 - credit(orders[t], ranked(u, noise=0.0, random=random)).value for t, u in truth.items()])


@pytest.mark.parametrize(("k", "num_tasks"), [(2, 2000), (4, 500), (9, 120)])
def test_recovered_reliability_goes_with_the_truth(k, num_tasks):
    crowd, skills = crowd_of(num_honest=24, num_spammers=6, num_tasks=num_tasks, k=k)
    found = consensus(crowd.judgements)
    values = np.array([found.raters[f"r{i:03}"].value for i in range(30)])
    assert found.is_settled
    assert np.corrcoef(values, skills)[0, 1] > 0.9
    assert np.abs(values - skills)[24:].max() < 0.1


def test_intervals_of_reliability_hold_the_truth():
    held = []
    for seed in range(4):
        crowd, skills = crowd_of(num_honest=16, num_spammers=4, num_tasks=300, seed=seed)
        raters = consensus(crowd.judgements).raters
        held += [raters[f"r{i:03}"].low <= skill <= raters[f"r{i:03}"].high for i, skill in enumerate(skills)]
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("overlap", [3, 5])
def test_with_thirty_percent_spammers_it_errs_less_than_the_majority(overlap):
    ours, theirs = [], []
    for seed in range(3):
        crowd, _ = crowd_of(num_honest=21, num_spammers=9, num_tasks=300, overlap=overlap, seed=seed)
        ours.append(error_of({t: found.tiers for t, found in consensus(crowd.judgements).tasks.items()}, crowd.truth))
        theirs.append(error_of(majority(crowd.judgements), crowd.truth))
    assert all(one < other for one, other in zip(ours, theirs, strict=True))
    assert np.mean(ours) < 0.95 * np.mean(theirs)


def test_standard_errors_are_as_large_as_errors_are():
    """Scores have a unit of their own: it is taken from their whole variance, and then errors must be what they claim."""
    crowd, _ = crowd_of(num_honest=20, num_spammers=0, num_tasks=400, overlap=4, noises=(0.6, 1.2))
    rows = []
    for task, found in consensus(crowd.judgements).tasks.items():
        mean = np.mean(list(crowd.truth[task].values()))
        rows += [(text.score, text.error, crowd.truth[task][text.text] - mean) for text in found.texts]
    score, error, truth = np.array(rows).T
    unit = np.sqrt((np.square(score) + np.square(error)).sum() / np.square(truth).sum())
    assert 0.85 < ((unit * truth - score) / error).std() < 1.2


def test_one_who_reverses_is_below_a_half():
    crowd = a_crowd([0.6] * 6, num_tasks=100, seed=2)
    upside_down = [
        Judgement(j.task, j.rater, j.tiers[::-1] if j.rater == "r000" else j.tiers, j.shown) for j in crowd.judgements
    ]
    found = consensus(upside_down).raters
    assert found["r000"].high < 0.5 < found["r001"].low


def test_raters_who_all_say_the_same_are_followed():
    rows = [Judgement("t", rater, parse_order("b>a=d>c").tiers) for rater in "uvwxyz"]
    found = consensus(rows)
    assert found.tasks["t"].tiers == (("b",), ("a", "d"), ("c",))
    assert (found.num_comparisons, found.tasks["t"].num_comparisons, found.tasks["t"].num_raters) == (36, 36, 6)
    assert sum(text.score for text in found.tasks["t"].texts) == pytest.approx(0.0, abs=1e-9)


def test_one_comparison_tells_little_and_says_so():
    (task,) = consensus([Judgement("t", "r", parse_order("a>b").tiers)]).tasks.values()
    first, second = task.texts
    assert (first.text, second.text) == ("a", "b")
    assert first.error > first.score > 0 > second.score


def test_nothing_gives_nothing():
    found = consensus([Judgement("t", "r", (("a",),))])
    assert (found.tasks, found.raters, found.num_comparisons) == ({}, {}, 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 9), st.floats(0, 0.9))
def test_it_settles_on_any_rankings_and_does_not_depend_on_their_order(seed, k, tie_share):
    random = np.random.default_rng(seed)
    rows = [
        Judgement(
            f"t{t}", f"r{r}", a_random_order("abcdefghi"[: random.integers(2, k + 1)], random, tie_share=tie_share)
        )
        for t in range(random.integers(1, 6))
        for r in range(random.integers(1, 5))
    ]
    found, again = consensus(rows), consensus(rows[::-1])
    assert found.is_settled
    assert all(0 < r.low <= r.value <= r.high < 1 for r in found.raters.values())
    for task, one in found.tasks.items():
        scores = {text.text: text.score for text in one.texts}
        assert {text.text: text.score for text in again.tasks[task].texts} == pytest.approx(scores, abs=1e-3)
        assert sorted(name for tier in one.tiers for name in tier) == sorted(scores)


@settings(deadline=None)
@given(st.integers(2, 7), st.integers(1, 5), st.integers(0, 2**32))
def test_the_majority_is_copelands_count(k, num, seed):
    random = np.random.default_rng(seed)
    rankings = [a_random_order("abcdefg"[:k], random) for _ in range(num)]
    at = [positions(r) for r in rankings]
    lead = {
        (a, b): np.sign(sum(np.sign(p[b] - p[a]) for p in at)) for a in at[0] for b in at[0] if a != b
    }  # fmt: skip
    wins = {a: sum(v for (x, _), v in lead.items() if x == a) for a in at[0]}
    (order,) = majority(Judgement("t", f"r{i}", r) for i, r in enumerate(rankings)).values()
    assert all(np.sign(wins[a] - wins[b]) == vote for (a, b), vote in votes(order).items())


@pytest.mark.slow
def test_thousands_of_tasks_take_seconds():
    crowd, skills = crowd_of(num_honest=35, num_spammers=15, num_tasks=5000, overlap=3, noises=(0.6, 1.2))
    started = time.process_time()
    found = consensus(crowd.judgements)
    assert time.process_time() - started < 30
    values = np.array([found.raters[f"r{i:03}"].value for i in range(50)])
    assert np.corrcoef(values, skills)[0, 1] > 0.9
