"""Intervals for shares whose pairs come in clusters, and p-values held together over many raters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

Z = 1.96  # 95 %


def two_sided(z: float) -> float:
    """P(|N(0, 1)| >= |z|)."""
    return math.erfc(abs(z) / math.sqrt(2))


def probability(z: float) -> float:
    return NormalDist().cdf(z)


def ratio_interval(counts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Wilson's interval for sum(a) / sum(n) over clusters (a, n), at the effective number of pairs.

    Pairs of one cluster go together, so clusters are what is sampled: the variance is the ratio estimator's (Cochran 1977,
    eq. 6.13, without the finite population). Where it can't be told from so few, a cluster counts as one pair.
    """
    clusters, pairs = len(counts), sum(n for _, n in counts)
    share = sum(a for a, _ in counts) / pairs
    spread = sum((a - share * n) ** 2 for a, n in counts) / pairs**2
    variance = spread * clusters / (clusters - 1) if clusters > 1 else 0.0
    size = min(pairs, max(clusters, share * (1 - share) / variance)) if variance else min(clusters, pairs)
    centre = (share + Z**2 / (2 * size)) / (1 + Z**2 / size)
    half = Z / (1 + Z**2 / size) * math.sqrt(share * (1 - share) / size + Z**2 / (4 * size**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def binomial_tail(successes: int, *, trials: int, share: float) -> float:
    """P(X >= successes), exactly, for X of `trials` with chance `share`, 0 < share < 1."""
    if successes <= 0:
        return 1.0
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(share) + (trials - k) * math.log1p(-share)
        for k in range(successes, trials + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(map(math.exp, logs)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979): flagging those below alpha flags any honest one with chance alpha at most."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
