"""Raters of known skill: truth by normal draws, votes by noise on it, orders shown at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation.quality.judgement import Judgement
from annotation.weak_order import Tiers

SPAMMER = float("inf")  # noise without end: the order has nothing to do with the truth


@dataclass(frozen=True)
class Crowd:
    judgements: list[Judgement]
    truth: dict[str, dict[str, float]]  # task -> text -> utility


def a_crowd(
    noises: Sequence[float], *, num_tasks: int, k: int = 4, overlap: int = 3, seed: int = 0, tie_below: float = 0.0
) -> Crowd:
    """Rater i ranks by utility + noises[i] * N(0, 1), tying neighbours closer than `tie_below`; each task by `overlap`."""
    random = np.random.default_rng(seed)
    judgements, truth = [], {}
    for number in range(num_tasks):
        task = f"t{number:05}"
        truth[task] = {f"{task}/{i}": float(u) for i, u in enumerate(random.normal(size=k))}
        for rater in random.choice(len(noises), size=overlap, replace=False):
            shown = tuple(random.permutation(list(truth[task])).tolist())
            seen = ranked(truth[task], noise=noises[rater], random=random, tie_below=tie_below)
            judgements.append(Judgement(task, f"r{rater:03}", seen, shown))
    return Crowd(judgements, truth)


def ranked(
    utility: dict[str, float], *, noise: float, random: np.random.Generator, tie_below: float = 0.0
) -> Tiers:  # fmt: skip
    felt = dict(zip(utility, random.normal(size=len(utility)), strict=True))
    if noise != SPAMMER:
        felt = {name: utility[name] + noise * felt[name] for name in utility}
    tiers: list[list[str]] = []
    for name in sorted(felt, key=lambda name: -felt[name]):
        if tiers and felt[tiers[-1][-1]] - felt[name] < tie_below:
            tiers[-1].append(name)
        else:
            tiers.append([name])
    return tuple(tuple(sorted(tier)) for tier in tiers)


def a_random_order(names: Sequence[str], random: np.random.Generator, *, tie_share: float = 0.3) -> Tiers:
    tiers: list[list[str]] = []
    for name in random.permutation(list(names)).tolist():
        if tiers and random.random() < tie_share:
            tiers[-1].append(name)
        else:
            tiers.append([name])
    return tuple(tuple(sorted(tier)) for tier in tiers)
