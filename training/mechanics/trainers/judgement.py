"""How well scores agree with people: accuracy and its interval, calibration, and what accuracy could be at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 1000
BINS = 10


def accuracy(margins: Sequence[float]) -> float:
    """The share of comparisons whose chosen side scores higher; equal scores count half."""
    values = np.asarray(margins, dtype=float)
    return float(((values > 0) + 0.5 * (values == 0)).mean())


def interval(margins: Sequence[float], groups: Sequence[str], *, seed: int = 0) -> tuple[float, float]:
    """95 % of `accuracy` under resampling of prompts: comparisons of one prompt are not independent of each other."""
    values = np.asarray(margins, dtype=float)
    right = (values > 0) + 0.5 * (values == 0)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    hits = np.bincount(index, weights=right)
    counts = np.bincount(index)
    draws = np.random.default_rng(seed).integers(0, len(names), size=(RESAMPLES, len(names)))
    shares = hits[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def calibration_error(margins: Sequence[float]) -> float:
    """Expected calibration error of sigmoid(margin) as the confidence in the preferred side, over 10 bins of [.5, 1]."""
    values = np.asarray(margins, dtype=float)
    confidence = 1 / (1 + np.exp(-np.clip(np.abs(values), 0, 60)))
    return binned_gap(confidence, (values > 0) + 0.5 * (values == 0), lowest=0.5)


def binned_gap(confidence: Any, right: Any, *, lowest: float = 0.0) -> float:
    """Expected calibration error: how far confidence and the share of right are apart, over 10 bins of [lowest, 1]."""
    sure, hits = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    bins = np.minimum(((sure - lowest) / (1 - lowest) * BINS).astype(int), BINS - 1)
    gaps = [abs(hits[bins == b].sum() - sure[bins == b].sum()) for b in range(BINS)]
    return float(sum(gaps) / len(sure))


def length_accuracy(train: Sequence[tuple[int, int]], held_out: Sequence[tuple[int, int]]) -> float:
    """The held-out accuracy of "the longer one" or "the shorter one", whichever the training pairs favour.

    Pairs are (tokens of the chosen, tokens of the rejected). A reward model has to beat this to have read anything.
    """
    sign = 1 if accuracy([chosen - rejected for chosen, rejected in train]) >= 0.5 else -1
    return accuracy([sign * (chosen - rejected) for chosen, rejected in held_out])


def ceiling(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What accuracy can be reached where raters disagree; empty where no two ranked the same pair.

    With agreement a of two raters on a pair (as counted over all such couples), no predictor is right on one rater's
    judgement more often than (1 + sqrt(2a - 1)) / 2, if raters are exchangeable.
    """
    counted = agreements(rows).values()
    couples = sum(some for _, some in counted)
    if not couples:
        return {}
    share = sum(agreed for agreed, _ in counted) / couples
    return {"agreement": share, "agreement_n": couples, "accuracy_ceiling": float(highest(share))}


def highest(agreement: Any) -> Any:
    return (1 + np.sqrt(np.maximum(2 * agreement - 1, 0))) / 2


def agreements(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Of each prompt, on how many of how many couples of judgements of one pair two raters agreed."""
    votes: dict[tuple[str, frozenset[str]], dict[str, str]] = {}
    for row in rows:
        chosen, rejected = row["chosen"][-1]["content"], row["rejected"][-1]["content"]
        votes.setdefault((row["group_id"], frozenset((chosen, rejected))), {})[row["rater"]] = chosen
    counted: dict[str, tuple[int, int]] = {}
    for (group, _), winners in votes.items():
        choices = list(winners.values())
        agreed = sum(a == b for i, a in enumerate(choices) for b in choices[i + 1 :])
        before = counted.get(group, (0, 0))
        counted[group] = before[0] + agreed, before[1] + len(choices) * (len(choices) - 1) // 2
    return counted


def ceiling_fraction(
    margins: Sequence[float], groups: Sequence[str], *, rows: Sequence[dict[str, Any]], seed: int = 0
) -> dict[str, float]:
    """Held-out accuracy over `ceiling(rows)`, and 95 % of it under resampling of prompts; empty without a ceiling.

    Both are uncertain, so both are resampled: prompts of the held-out comparisons, and the other prompts of `rows`.
    """
    told = ceiling(rows)
    if not told:
        return {}
    values = np.asarray(margins, dtype=float)
    right = (values > 0) + 0.5 * (values == 0)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    counted = agreements(rows)
    own = np.array([counted.pop(str(name), (0, 0)) for name in names], dtype=float)
    own = np.column_stack([np.bincount(index, weights=right), np.bincount(index), own])
    others = np.array(list(counted.values()), dtype=float).reshape(-1, 2)
    luck = np.random.default_rng(seed)
    fractions = []
    for _ in range(RESAMPLES):
        hits, n, agreed, couples = own[luck.integers(0, len(own), len(own))].sum(axis=0)
        more = others[luck.integers(0, len(others), len(others))].sum(axis=0) if len(others) else np.zeros(2)
        if couples + more[1]:
            fractions.append(hits / n / highest((agreed + more[0]) / (couples + more[1])))
    low, high = np.percentile(fractions, [2.5, 97.5])
    found = accuracy(margins) / told["accuracy_ceiling"]
    return {"ceiling_fraction": found, "ceiling_fraction_low": float(low), "ceiling_fraction_high": float(high)}
