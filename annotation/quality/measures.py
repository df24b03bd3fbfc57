"""Agreement of rankings: Kendall's tau-b and W, and the share of pairs that two raters order alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from annotation.quality.judgement import Judgement, Measure, Votes, by_task, positions, shared_votes, undefined, votes
from annotation.weak_order import Tiers

RESAMPLES = 2000


def kendall_tau_b(one: Tiers, other: Tiers) -> Measure:
    """Over the texts that both rank: (concordant - discordant) / sqrt of the pairs untied in one times those in the other.

    Kendall 1945, "The treatment of ties in ranking problems". Compares the places that each text has in the two rankings,
    never the two lists of texts: those are not ranks of the same things. `num` counts texts.
    """
    first, second = positions(one), positions(other)
    common = sorted(first.keys() & second.keys())
    if len(common) < 2:
        return undefined("The two rankings have fewer than two texts in common.", num=len(common))
    signs = [
        (votes_one, votes_other)
        for votes_one, votes_other in shared_votes(_votes_on(one, common), _votes_on(other, common))
    ]
    untied, untied_other = sum(x != 0 for x, _ in signs), sum(y != 0 for _, y in signs)
    if not untied or not untied_other:
        return undefined("One of the rankings ties all texts, so that there is no order to compare.", num=len(common))
    return Measure(sum(x * y for x, y in signs) / math.sqrt(untied * untied_other), num=len(common))


def _votes_on(tiers: Tiers, names: Sequence[str]) -> Votes:
    wanted = set(names)
    return {pair: vote for pair, vote in votes(tiers).items() if wanted.issuperset(pair)}


def kendall_w(orders: Sequence[Tiers]) -> Measure:
    """Concordance of m raters on the same n texts, corrected for ties: 0 none, 1 all rank alike. `num` counts raters.

    Kendall & Babington Smith 1939 with the correction of Kendall 1962, ch. 6: W = 12 S / (m^2 (n^3 - n) - m sum T), where
    T = sum(t^3 - t) over a rater's tiers of t texts.
    """
    ranks = [positions(order) for order in orders]
    if len(ranks) < 2:
        return undefined("Concordance needs two raters.", num=len(ranks))
    if any(other.keys() != ranks[0].keys() for other in ranks):
        return undefined("The raters ranked different texts.", num=len(ranks))
    m, n = len(ranks), len(ranks[0])
    sums = [sum(rank[name] for rank in ranks) for name in ranks[0]]
    squares = sum((total - m * (n + 1) / 2) ** 2 for total in sums)
    ties = sum(len(tier) ** 3 - len(tier) for order in orders for tier in order)
    most = m**2 * (n**3 - n) - m * ties
    if not most:
        return undefined("Every rater ties all texts, so that there is no order to compare.", num=m)
    return Measure(12 * squares / most, num=m)


def mean_agreement(orders: Sequence[Sequence[Sequence[str]]]) -> Measure:
    """Of weak orders of one task, the mean over pairs of raters of how alike they order it: 1 the same, 0 reversed.

    Two raters are alike on a pair of texts that both rank: 1 where they order it the same or both tie it, 1/2 where one
    ties it, 0 where they reverse it. That is 1 - K^(1/2) / pairs, with the distance of Fagin et al. 2006, "Comparing
    partial rankings". An empty order says that there is none: two such are alike, and one is unlike any order. Unlike
    `pairwise_agreement` it is defined where texts are tied, so a rule can be held to it. `num` counts pairs of raters.
    """
    found = [_likeness(one, other) for one, other in combinations(orders, 2)]
    values = [value for value in found if value is not None]
    if not values:
        return undefined("No two raters have ranked the same pair of texts.")
    return Measure(sum(values) / len(values), num=len(values))


def _likeness(one: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> float | None:
    if not one or not other:
        return float(not one and not other)
    pairs = [1 - abs(x - y) / 2 for x, y in shared_votes(votes(one), votes(other))]
    return sum(pairs) / len(pairs) if pairs else None


def pairwise_agreement(
    judgements: Iterable[Judgement], *, num_resamples: int = RESAMPLES, seed: int = 0
) -> Measure:  # fmt: skip
    """Of pairs of texts that two raters of one task both had a preference on, the share ordered alike; `num` counts them.

    The interval is the percentile bootstrap over tasks (Efron & Tibshirani 1993, ch. 13), for pairs of one task go together.
    """
    counts = [count for task in by_task(judgements).values() if (count := _alike(task))[1]]
    if not counts:
        return undefined("No two raters had a preference on the same pair of texts.")
    alike, pairs = np.array(counts, dtype=float).T
    share, num = alike.sum() / pairs.sum(), int(pairs.sum())
    if len(counts) < 2:
        return Measure(float(share), num=num, why="One task alone gives no interval.")
    drawn = np.random.default_rng(seed).multinomial(len(counts), [1 / len(counts)] * len(counts), size=num_resamples)
    low, high = np.percentile((drawn @ alike) / (drawn @ pairs), [2.5, 97.5])
    return Measure(float(share), num=num, low=float(low), high=float(high))


def _alike(judgements: list[Judgement]) -> tuple[int, int]:
    alike = pairs = 0
    for one, other in combinations(judgements, 2):
        if one.rater == other.rater:
            continue
        products = [x * y for x, y in shared_votes(votes(one.tiers), votes(other.tiers)) if x and y]
        alike, pairs = alike + products.count(1), pairs + len(products)
    return alike, pairs
