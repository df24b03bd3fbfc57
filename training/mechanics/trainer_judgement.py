"""How well scores agree with people: accuracy and its interval, calibration, and what accuracy could be at all."""

from __future__ import annotations

import math
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
    right = (values > 0) + 0.5 * (values == 0)
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(BINS)]
    return float(sum(gaps) / len(values))


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
    votes: dict[tuple[str, frozenset[str]], dict[str, str]] = {}
    for row in rows:
        chosen, rejected = row["chosen"][-1]["content"], row["rejected"][-1]["content"]
        votes.setdefault((row["group_id"], frozenset((chosen, rejected))), {})[row["rater"]] = chosen
    agreed = couples = 0
    for winners in votes.values():
        choices = list(winners.values())
        couples += len(choices) * (len(choices) - 1) // 2
        agreed += sum(a == b for i, a in enumerate(choices) for b in choices[i + 1 :])
    if not couples:
        return {}
    share = agreed / couples
    return {
        "agreement": share,
        "agreement_n": couples,
        "accuracy_ceiling": (1 + math.sqrt(max(2 * share - 1, 0))) / 2,
    }
