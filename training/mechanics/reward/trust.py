"""How far a reward model is to be trusted: calibration with a fitted temperature, and where its accuracy comes from.

Probabilities are those of the Bradley-Terry model, logistic(margin / T): the better text's score less the other's, over a
temperature (Guo et al. 2017, arXiv 1706.04599). T is fitted on four fifths of the held-out prompts and judged on the last, each
in its turn, so that all held-out comparisons count and none judges itself. (With halves, 1,050 comparisons of which a fifth was
flipped by lot were off by 5 %, because the halves had 21 % and 16 % of it: an error of the measure and not of the model.)

A rater who errs with some probability whatever the texts are is never surer than that, and no temperature says so: far apart,
logistic(margin / T) goes to 1 and her answers don't. With a share e of flipped labels the probability that *she* finds the
same text better is e + (1 - 2 e) logistic(margin / T) (the label noise of Natarajan et al. 2013; in psychophysics a lapse
rate, Wichmann & Hill 2001); e is fitted with T. A ranking's labels from raters who err alike can only be calibrated so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.context import RunContext
from training.mechanics.coach.rewards import doubts
from training.mechanics.people.rankings import Group
from training.mechanics.trainers.judgement import accuracy, calibration_error

Numbers = dict[str, float]

FOLDS = 5
COLDEST, HOTTEST = 0.05, 20.0
MOST_FLIPPED = 0.45  # at a half nothing can be told
ALIKE = 0.1  # lengths that differ by less, as a share of the longer one
FEWEST = 20  # comparisons of a kind, below which its accuracy says nothing
ASKING = re.compile(
    r"(what|when|where|who|whom|whose|which|why|how|is|are|was|were|do|does|did|can|could|should|will)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A held-out comparison. `margin`: score of the better text less the other's; lengths in tokens."""

    group: str
    rater: str
    strength: float
    better_length: int
    worse_length: int
    margin: float = 0.0
    prompt: tuple[tuple[str, str], ...] = ()


def compared(groups: Iterable[Group], margins: Sequence[float] | None = None) -> list[Verdict]:
    """Every comparison of the groups' orders, in their order; `margins` are those of a batch-wise evaluation of the same."""
    found = [
        Verdict(
            group.id, order.rater, order.below[-1], len(group.ids[better]), len(group.ids[worse]), prompt=group.prompt
        )
        for group in groups
        for order in group.orders
        for better, worse in order.pairs
    ]
    if margins is None:
        return found
    return [replace(one, margin=margin) for one, margin in zip(found, margins, strict=True)]


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


def fitted_noise(margins: Sequence[float]) -> tuple[float, float]:
    """The T and the share e of flipped labels at which the comparisons are likeliest, on a grid that is refined twice."""
    values = np.clip(np.asarray(margins, dtype=float), -1e6, 1e6)
    best, rates = (1.0, 0.0), np.linspace(0, MOST_FLIPPED, 19)
    temperatures = np.geomspace(COLDEST, HOTTEST, 31)
    for _ in range(3):
        likeliest = -np.inf
        for temperature in temperatures:
            sure = probabilities(values.tolist(), temperature)
            logs = np.log(np.maximum(rates[:, None] + (1 - 2 * rates[:, None]) * sure, 1e-12)).sum(axis=1)
            if logs.max() > likeliest:
                likeliest, best = logs.max(), (float(temperature), float(rates[logs.argmax()]))
        step = temperatures[1] / temperatures[0]
        temperatures = np.clip(np.geomspace(best[0] / step, best[0] * step, 11), COLDEST, HOTTEST)
        width = rates[1] - rates[0]
        rates = np.clip(np.linspace(best[1] - width, best[1] + width, 11), 0, MOST_FLIPPED)
    return best


def with_flips(margins: Sequence[float], temperature: float, rate: float) -> list[float]:
    """The logits of e + (1 - 2 e) logistic(margin / T)."""
    right, wrong = (rate + (1 - 2 * rate) * probabilities([sign * m for m in margins], temperature) for sign in (1, -1))
    found: list[float] = (np.log(right) - np.log(wrong)).tolist()
    return found


def calibration(verdicts: Sequence[Verdict]) -> Numbers:
    """`temperature` of all; `brier_calibrated` and `ece_calibrated` where each fifth has the temperature of the others.

    `flip_rate`, `temperature_with_flips`, `brier_with_flips` and `ece_with_flips` likewise, for raters who err.

    Empty where all comparisons are in one fifth.
    """
    margins_N = np.array([verdict.margin for verdict in verdicts])
    folds_N = np.array([hashlib.sha256(verdict.group.encode()).digest()[0] % FOLDS for verdict in verdicts])
    folds = np.unique(folds_N)
    if len(folds) < 2:
        return {}
    tempered: list[float] = []
    noisy: list[float] = []
    for fold in folds:
        judged, others = (margins_N[place].tolist() for place in (folds_N == fold, folds_N != fold))
        temperature = fitted_temperature(others)
        tempered += [margin / temperature for margin in judged]
        noisy += with_flips(judged, *fitted_noise(others))
    overall = fitted_noise(margins_N.tolist())
    return {
        "temperature": fitted_temperature(margins_N.tolist()),
        "brier_calibrated": brier(tempered),
        "ece_calibrated": calibration_error(tempered),
        "flip_rate": overall[1],
        "temperature_with_flips": overall[0],
        "brier_with_flips": brier(noisy),
        "ece_with_flips": calibration_error(noisy),
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


def kind_of(verdict: Verdict) -> str:
    """What is asked: a question, something to do, or a conversation of several turns."""
    if not verdict.prompt:
        return "kind_none"
    if sum(role == "user" for role, _ in verdict.prompt) > 1:
        return "kind_conversation"
    asked = next((content for role, content in reversed(verdict.prompt) if role == "user"), "").strip()
    return "kind_question" if asked.endswith("?") or ASKING.match(asked) else "kind_instruction"


def by_prompt_length(verdicts: Sequence[Verdict]) -> Callable[[Verdict], str]:
    """Thirds of the prompts, by characters."""
    sizes = {verdict.group: sum(len(content) for _, content in verdict.prompt) for verdict in verdicts}
    low, high = np.quantile(list(sizes.values()), [1 / 3, 2 / 3]) if sizes else (0.0, 0.0)
    return lambda verdict: (
        "prompt_short"
        if sizes[verdict.group] <= low
        else "prompt_middle"
        if sizes[verdict.group] <= high
        else "prompt_long"
    )


def breakdown(verdicts: Sequence[Verdict], *, context: RunContext) -> Numbers:
    """`accuracy_...` and `n_...` by strength, by length and by kind and length of the prompt, and the span of accuracies by
    rater, each told in the log."""
    found: Numbers = {}
    for kind in (strength_of, length_of, kind_of, by_prompt_length(verdicts)):
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
