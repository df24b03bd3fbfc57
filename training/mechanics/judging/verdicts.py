"""What the two orders of a pair come to: a label, whether they contradict each other, and whether the critic decides at all.

In each order the critic tells its log-odds that the first text is better: l_ab where that is shown as (A), l_ba where it is
shown as (B). The label is the logistic of their mean,

    p = s((l_ab + l_ba) / 2),

in log-odds and not in probabilities, because a liking for one place adds the same number to the log-odds of whatever stands
there: with d for the texts and b for the place, l_ab = d + b and l_ba = d - b, so their mean is d, whatever b. And a pair that
is presented the other way round has -l_ba and -l_ab, so its label is 1 - p to the last digits: what a label says of a pair does
not depend on which text came first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.mechanics.judging.pairs import Pair
from training.mechanics.prompt_statistics import Array, finite, interval
from training.recipes.judge import JudgeRecipe

ORDERS = (0, 1)  # ab, ba


@dataclass(frozen=True, slots=True)
class Told:
    """Log-odds that the first text is better, as the critic told them in either order, and its reasons."""

    ab: float
    ba: float
    thought_ab: str = ""
    thought_ba: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`p` that the first text is better; `flipped`: each order named another winner; `abstained`: people are to decide."""

    p: float
    flipped: bool
    abstained: bool


def logistic(log_odds: float) -> float:
    return 0.5 * (1 + math.tanh(log_odds / 2))  # of the negative, 1 less it


def verdict(told: Told, recipe: JudgeRecipe) -> Verdict:
    """After reasons a label is held between `clamp_low` and `clamp_high` (Bai et al. 2022, section 4.1)."""
    p = logistic((told.ab + told.ba) / 2)
    if recipe.thought:
        p = min(max(p, recipe.clamp_low), recipe.clamp_high)
    return Verdict(p, told.ab * told.ba < 0, abs(p - 0.5) < recipe.abstain)


def figures(pairs: Sequence[Pair], told: Sequence[Told], verdicts: Sequence[Verdict], *, seed: int) -> dict[str, Any]:
    """Of all pairs: how often the orders contradict each other, and which place the critic likes, with 95 % by bootstrap over
    prompts.

    `position_bias` is the mean of ab + (1 - ba) - 1, how much likelier than not what is shown as (A) is found better in both
    orders together: 1 for a critic that always answers (A), -1 for one that always answers (B), 0 without a liking.
    """
    prompts, place = np.unique([pair.prompt_id for pair in pairs], return_inverse=True)
    counts = np.bincount(place).astype(float)
    values = {
        "flip_rate": [float(one.flipped) for one in verdicts],
        "position_bias": [logistic(one.ab) - logistic(one.ba) for one in told],
    }
    found: dict[str, Any] = {"num_prompts": len(prompts), "num_pairs": len(pairs)}
    for name, some in values.items():
        sums = np.bincount(place, weights=some).astype(float)
        low, high = interval(len(prompts), share_of(sums, counts), seed=seed)
        found |= {name: float(sums.sum() / counts.sum()), f"{name}_low": low, f"{name}_high": high}
    return finite(found | certainty(verdicts))


def share_of(sums: Array, counts: Array) -> Callable[[Array], Array]:
    def share(weights_RP: Array) -> Array:
        found: Array = (weights_RP @ sums) / (weights_RP @ counts)
        return found

    return share


def certainty(verdicts: Sequence[Verdict]) -> dict[str, float]:
    return {
        "abstained_rate": sum(one.abstained for one in verdicts) / len(verdicts),
        "mean_confidence": sum(abs(one.p - 0.5) for one in verdicts) / len(verdicts),
    }


def by_principle(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> dict[str, dict[str, Any]]:
    of: dict[str, list[Verdict]] = {}
    for pair, one in zip(pairs, verdicts, strict=True):
        of.setdefault(pair.principle.id, []).append(one)
    return {
        name: {"num_pairs": len(some), "flip_rate": sum(one.flipped for one in some) / len(some), **certainty(some)}
        for name, some in sorted(of.items())
    }
