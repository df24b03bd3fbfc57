"""Bias: a rater swayed by place, length or haste is told of, and honest ones are not, at the stated rate."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.stats import binom, norm

from annotation.quality.bias import FEWEST, haste, length_bias, position_bias
from annotation.quality.intervals import binomial_tail, holm
from annotation.quality.judgement import Judgement, positions
from annotation.weak_order import parse_order
from tests.annotation.quality.simulated import Crowd, a_crowd, a_random_order, ranked


def lengths_of(crowd: Crowd, *, with_quality: float, seed: int) -> dict[str, int]:
    """Characters, about 1,000 a text, going up with a text's utility as far as said."""
    random = np.random.default_rng(seed)
    texts = {name: utility for task in crowd.truth.values() for name, utility in task.items()}
    return {name: int(max(50, 1000 + with_quality * u + 300 * random.normal())) for name, u in texts.items()}


def swayed(crowd: Crowd, rater: str, feature) -> list[Judgement]:
    """The crowd's judgements, with `rater` adding `feature(judgement)[text]` to the utility that she sees."""
    random = np.random.default_rng(7)
    found = []
    for judgement in crowd.judgements:
        if judgement.rater == rater:
            pull = feature(judgement)
            felt = {name: u + pull[name] for name, u in crowd.truth[judgement.task].items()}
            judgement = dataclasses.replace(judgement, tiers=ranked(felt, noise=0.8, random=random))
        found.append(judgement)
    return found


def test_a_rater_who_leans_to_what_is_shown_first_is_flagged_alone():
    flagged = []
    for seed in range(8):
        crowd = a_crowd([0.8] * 10, num_tasks=200, seed=seed)
        left = swayed(crowd, "r003", lambda judgement: {name: -0.5 * i for i, name in enumerate(judgement.shown)})
        found = {finding.rater: finding for finding in position_bias(left)}
        assert found["r003"].effect > 0.55
        flagged.append([rater for rater, finding in found.items() if finding.is_flagged])
    assert sum("r003" in names for names in flagged) >= 7
    assert sum(len(names) > ("r003" in names) for names in flagged) <= 2


@pytest.mark.parametrize(("k", "tie_share"), [(2, 0.0), (4, 0.25), (9, 0.1)])
def test_honest_raters_are_flagged_for_place_no_more_often_than_stated(k, tie_share):
    """60 reports on ten raters: of all, 5 % at most may flag somebody; the bound leaves one seed in a hundred."""
    random, names = np.random.default_rng(k), list("abcdefghi"[:k])
    flags, tested = [], []
    for _ in range(60):
        rows = [
            Judgement(
                f"t{t}", f"r{r}", a_random_order(names, random, tie_share=tie_share), shown_at_random(names, random)
            )
            for t in range(25)
            for r in range(10)
        ]
        report = position_bias(rows)
        flags.append(any(finding.is_flagged for finding in report))
        tested += [finding.p for finding in report]
    assert np.mean(np.array(tested) < 0.05) <= 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / len(tested))
    assert np.mean(flags) <= 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / len(flags))


def shown_at_random(names, random):
    return tuple(random.permutation(names).tolist())


def test_the_variance_of_the_position_test_is_that_of_all_permutations():
    tiers = parse_order("a>b=c>d").tiers
    at = positions(tiers)
    covariances = [
        sum((i - 1.5) * (at[name] - 2.5) for i, name in enumerate(shown)) for shown in itertools.permutations("abcd")
    ]
    exact = 5.0 * sum((rank - 2.5) ** 2 for rank in at.values()) / 3
    assert np.mean(covariances) == pytest.approx(0.0)
    assert np.var(covariances) == pytest.approx(exact)
    shown = [tuple("abcd")] * FEWEST
    (found,) = position_bias([Judgement(f"t{i}", "r", tiers, order) for i, order in enumerate(shown)])
    z = (FEWEST * covariances[0] - 0.5) / np.sqrt(FEWEST * exact)
    assert found.p == pytest.approx(2 * norm.sf(z))


def test_a_rater_of_few_rankings_is_told_of_and_not_tested():
    (found,) = position_bias([Judgement("t", "r", parse_order("a>b").tiers, ("a", "b"))])
    assert (found.p, found.adjusted, found.is_flagged, found.effect) == (None, None, False, 1.0)
    assert found.sentence == f"1 of the {FEWEST} rankings that a test needs."


def test_a_rater_who_ties_all_has_nothing_to_test():
    rows = [Judgement(f"t{i}", "r", parse_order("a=b").tiers, ("a", "b")) for i in range(30)]
    (found,) = position_bias(rows)
    assert (found.effect, found.p, found.sentence) == (None, None, "Every ranking ties all texts.")


def test_a_rater_who_favours_length_is_flagged():
    hits = 0
    for seed in range(4):
        crowd = a_crowd([0.8] * 8, num_tasks=400, seed=seed)
        lengths = lengths_of(crowd, with_quality=0, seed=seed)
        long = swayed(crowd, "r002", lambda judgement, at=lengths: {n: (at[n] - 1000) / 300 for n in judgement.shown})
        found = {finding.rater: finding for finding in length_bias(long, lengths=lengths)}
        assert found["r002"].effect > 0.6
        hits += found["r002"].is_flagged and "more than others" in found["r002"].sentence
    assert hits >= 3


def test_sharper_raters_are_not_flagged_for_length_where_longer_texts_are_better():
    reports = []
    for seed in range(25):
        noises = np.random.default_rng(seed).uniform(0.4, 1.4, size=8)
        crowd = a_crowd(noises.tolist(), num_tasks=100, seed=seed, tie_below=0.2)
        reports.append(length_bias(crowd.judgements, lengths=lengths_of(crowd, with_quality=200, seed=seed)))
    tested = [finding.p for report in reports for finding in report if finding.p is not None]
    assert len(tested) > 150
    assert np.mean(np.array(tested) < 0.05) <= 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / len(tested))
    assert sum(finding.is_flagged for report in reports for finding in report) <= 4


def test_length_needs_others_on_the_same_texts():
    rows = [Judgement(f"t{i}", "r", parse_order("a>b").tiers) for i in range(30)]
    (found,) = length_bias(rows, lengths={"a": 10, "b": 5})
    assert (found.effect, found.p) == (1.0, None)
    assert found.sentence == f"0 of the {FEWEST} tasks that a test needs were ranked by two others too."


def test_one_who_ranks_faster_than_anybody_reads_is_flagged_and_a_quick_reader_is_not():
    tiers, lengths = parse_order("a>b>c").tiers, {"a": 1000, "b": 1000, "c": 1000}
    rows = [Judgement(f"t{i}", "hasty", tiers, seconds=4.0) for i in range(30)]
    rows += [Judgement(f"t{i}", "quick", tiers, seconds=31.0 if i else 5.0) for i in range(30)]
    hasty, quick = haste(rows, lengths=lengths)
    assert (hasty.is_flagged, hasty.effect) == (True, 1.0)
    assert (quick.is_flagged, quick.effect) == (False, pytest.approx(1 / 30))


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (1, 20), (7, 30), (30, 30), (60, 700)])
def test_the_binomial_tail_is_scipys(successes, trials):
    expected = binom.sf(successes - 1, trials, 0.05)
    assert binomial_tail(successes, trials=trials, share=0.05) == pytest.approx(expected, rel=1e-9)


def test_holm_multiplies_by_how_many_are_left_and_never_goes_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
