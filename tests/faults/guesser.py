"""A guesser: does anything in what was sent tell one label from another? Logistic regression, cross-validated, as an AUC."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import rankdata

TOKEN = re.compile(r"[A-Za-z0-9_-]+")
FEWEST = 4  # a token in fewer samples than this can't be learned from
FOLDS = 5
RIDGE = 3.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """`group` keeps samples together that share their source; `numbers` are sizes, places and times."""

    group: str
    text: str
    numbers: tuple[float, ...]
    label: bool


def tokens(text: str) -> Counter[str]:
    """How often each token stands, which token follows which, and how random-looking ones begin."""
    found = TOKEN.findall(text)
    counts = Counter(found)
    counts.update(f"{a} {b}" for a, b in pairwise(found))
    counts.update(f"^{token[:2]}" for token in found if len(token) >= 20)
    return counts


def words_of(samples: Sequence[Sample]) -> Floats:
    counted = [tokens(sample.text) for sample in samples]
    seen = Counter(token for counts in counted for token in counts)
    names = sorted(name for name, n in seen.items() if n >= FEWEST and len({counts[name] for counts in counted}) > 1)
    found = np.array([[counts[name] for name in names] for counts in counted], dtype=float)
    return standard(found.reshape(len(samples), -1))


def numbers_of(samples: Sequence[Sample]) -> Floats:
    found = np.array([sample.numbers for sample in samples], dtype=float)
    return standard(np.column_stack([rankdata(column) for column in found.T]))  # one outlier must not hide the rest


def standard(found: Floats) -> Floats:
    spread = found.std(axis=0)
    return (found[:, spread > 0] - found[:, spread > 0].mean(axis=0)) / spread[spread > 0]


def aucs_of(samples: Sequence[Sample]) -> tuple[float, float]:
    """Of held-out guesses from the words alone, and from the numbers alone; 0.5 is a coin's."""
    return auc_from(words_of(samples), samples), auc_from(numbers_of(samples), samples)


def auc_from(x: Floats, samples: Sequence[Sample]) -> float:
    y = np.array([sample.label for sample in samples])
    groups = sorted({sample.group for sample in samples})
    fold_of = {group: number % FOLDS for number, group in enumerate(groups)}
    folds = np.array([fold_of[sample.group] for sample in samples])
    if x.shape[1] == 0:
        return 0.5
    aucs = []
    for fold in range(FOLDS):
        held = folds == fold
        if 0 < y[held].sum() < held.sum():
            aucs.append((auc(x[held] @ weights(x[~held], y[~held]), y[held]), held.sum()))
    return float(np.average([value for value, _ in aucs], weights=[size for _, size in aucs]))


def weights(x: Floats, y: NDArray[np.bool_]) -> Floats:
    sign, balance = np.where(y, 1.0, -1.0), np.where(y, 1 / max(1, y.sum()), 1 / max(1, (~y).sum())) * len(y) / 2

    def loss(w: Floats) -> tuple[float, Floats]:
        margin = sign * (x @ w)
        share = balance / (1 + np.exp(np.clip(margin, -30, 30)))
        value = (balance * np.logaddexp(0, -margin)).sum() + RIDGE * w @ w / 2
        return float(value), -(x.T @ (share * sign)) + RIDGE * w

    return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x)


def auc(scores: Floats, y: NDArray[np.bool_]) -> float:
    ranks, positives = rankdata(scores), int(y.sum())
    return float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))


def chance(samples: Sequence[Sample]) -> float:
    """The standard error of the AUC of guesses that know nothing."""
    positives = sum(sample.label for sample in samples)
    negatives = len(samples) - positives
    return math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
