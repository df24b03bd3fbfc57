"""How far a reward model is to be trusted: calibration with a fitted temperature, and where its accuracy comes from.

Probabilities are those of the Bradley-Terry model, logistic(margin / T): the better text's score less the other's, over a
temperature (Guo et al. 2017, arXiv 1706.04599). T is fitted on one half of the held-out prompts and judged on the other, both
ways round, so that all held-out comparisons count and none judges itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.context import RunContext
from training.mechanics.coach_rewards import doubts
from training.mechanics.rankings import Group
from training.mechanics.trainer_judgement import accuracy, calibration_error

Numbers = dict[str, float]

COLDEST, HOTTEST = 0.05, 20.0
ALIKE = 0.1  # lengths that differ by less, as a share of the longer one
FEWEST = 20  # comparisons of a kind, below which its accuracy says nothing


@dataclass(frozen=True, slots=True)
class Verdict:
    """A held-out comparison. `margin`: score of the better text less the other's; lengths in tokens."""

    group: str
    rater: str
    strength: float
    better_length: int
    worse_length: int
    margin: float = 0.0


def compared(groups: Iterable[Group], margins: Sequence[float] | None = None) -> list[Verdict]:
    """Every comparison of the groups' orders, in their order; `margins` are those of a batch-wise evaluation of the same."""
    facts = [
        (group.id, order.rater, order.below[-1], len(group.ids[better]), len(group.ids[worse]))
        for group in groups
        for order in group.orders
        for better, worse in order.pairs
    ]
    return [Verdict(*told, margin) for told, margin in zip(facts, margins or [0.0] * len(facts), strict=True)]


# Calibration


def brier(margins: Sequence[float], *, temperature: float = 1.0) -> float:
    """The mean squared distance between the probability of the better text and 1; 0.25 for one who never knows."""
    return float(np.mean((1 - probabilities(margins, temperature)) ** 2))


def probabilities(margins: Sequence[float], temperature: float) -> np.ndarray:
    scaled: np.ndarray = 1 / (1 + np.exp(-np.clip(np.asarray(margins, dtype=float) / temperature, -60, 60)))
    return scaled


def fitted_temperature(margins: Sequence[float]) -> float:
    """The T at which the comparisons are likeliest, between `COLDEST` and `HOTTEST`; their likelihood is concave in 1/T."""
    values = np.asarray(margins, dtype=float)
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(60):
        middle = (low + high) / 2
        rises = float((values * (1 - probabilities(values.tolist(), 1 / middle))).sum()) > 0
        low, high = (middle, high) if rises else (low, middle)
    return 2 / (low + high)


def calibration(verdicts: Sequence[Verdict]) -> Numbers:
    """`temperature` of all; `brier_calibrated` and `ece_calibrated` where each half has the temperature of the other.

    Empty where all comparisons are in one half.
    """
    halves: list[list[float]] = [[], []]
    for verdict in verdicts:
        halves[hashlib.sha256(verdict.group.encode()).digest()[0] % 2].append(verdict.margin)
    if not all(halves):
        return {}
    temperatures = [fitted_temperature(half) for half in halves]
    tempered = [
        margin / temperature for half, temperature in zip(halves, temperatures[::-1], strict=True) for margin in half
    ]
    return {
        "temperature": fitted_temperature([verdict.margin for verdict in verdicts]),
        "brier_calibrated": brier(tempered),
        "ece_calibrated": calibration_error(tempered),
    }


# Where accuracy comes from


def accuracy_by(verdicts: Sequence[Verdict], kind: Callable[[Verdict], str]) -> dict[str, tuple[float, int]]:
    """Kind -> accuracy and n, of kinds with `FEWEST` comparisons or more."""
    of: dict[str, list[float]] = {}
    for verdict in verdicts:
        of.setdefault(kind(verdict), []).append(verdict.margin)
    return {name: (accuracy(some), len(some)) for name, some in sorted(of.items()) if len(some) >= FEWEST}


def strength_of(verdict: Verdict) -> str:
    return f"strength_{min(max(round(verdict.strength), 1), 4)}"  # 4, and more


def length_of(verdict: Verdict) -> str:
    """Whether the better text is the longer one."""
    difference = verdict.better_length - verdict.worse_length
    if abs(difference) <= ALIKE * max(verdict.better_length, verdict.worse_length):
        return "as_long"
    return "longer" if difference > 0 else "shorter"


def breakdown(verdicts: Sequence[Verdict], *, context: RunContext) -> Numbers:
    """`accuracy_...` and `n_...` by strength and by length, and the span of accuracies by rater, each told in the log."""
    found: Numbers = {}
    for kind in (strength_of, length_of):
        for name, (share, n) in accuracy_by(verdicts, kind).items():
            found |= {f"accuracy_{name}": share, f"n_{name}": n}
    raters = accuracy_by(verdicts, lambda verdict: verdict.rater)
    for name, (share, n) in raters.items():
        context.log(f"Held-out accuracy on the comparisons of {name}: {share:.0%} of {n}.")
    if len(raters) > 1:
        shares = [share for share, _ in raters.values()]
        found |= {"num_raters": len(raters), "accuracy_rater_low": min(shares), "accuracy_rater_high": max(shares)}
    return found


# In plain words


def warn(metrics: Numbers, *, context: RunContext) -> None:
    """Says what the numbers of the whole held-out split give reason to doubt."""
    for finding in doubts(metrics):
        context.tell(finding)
