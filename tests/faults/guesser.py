"""A guesser: does anything in what was sent tell one label from another? Logistic regression, cross-validated, as an AUC."""

from __future__ import annotations

import math
import random
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
SHUFFLES = 64

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True)
class Guess:
    """The AUC of held-out guesses, and what the same guesser makes of labels that were shuffled: a coin's."""

    auc: float
    coin: float
    error: float

    @property
    def far(self) -> float:
        """From a coin's mean, in a coin's standard deviations."""
        off = abs(self.auc - self.coin)
        return off / self.error if self.error else math.inf if off else 0.0


def guess_from(x: Floats, samples: Sequence[Sample]) -> Guess:
    """Held against shuffled labels, as the formula for independent guesses is too sure: what is sent in one moment, or to
    one rater, is alike, so the guesses go wrong together."""
    groups = np.unique([sample.group for sample in samples], return_inverse=True)[1]
    y, lot = np.array([sample.label for sample in samples]), random.Random(0)
    coins = [auc_of_folds(x, shuffled(y, groups, lot), groups) for _ in range(SHUFFLES)]
    found = auc_of_folds(x, y, groups), float(np.mean(coins)), float(np.std(coins, ddof=1))
    return Guess(*(round(value, 4) for value in found))


def shuffled(y: Bools, groups: Ints, lot: random.Random) -> Bools:
    """Labels change places within their group, and groups of one size change labels: those of a group stay together."""
    places: dict[int, list[list[int]]] = {}
    for group in range(groups.max() + 1):
        mine = np.flatnonzero(groups == group).tolist()
        places.setdefault(len(mine), []).append(mine)
    found = y.copy()
    for alike in places.values():
        for mine, theirs in zip(alike, lot.sample(alike, len(alike)), strict=True):
            found[mine] = y[lot.sample(theirs, len(theirs))]
    return found


def auc_of_folds(x: Floats, y: Bools, groups: Ints) -> float:
    """A group is held out as a whole. 0.5 where there is nothing to guess from."""
    if x.shape[1] == 0:
        return 0.5
    aucs = []
    for fold in range(FOLDS):
        held = groups % FOLDS == fold
        if 0 < y[held].sum() < held.sum():
            aucs.append((auc(x[held] @ weights(x[~held], y[~held]), y[held]), held.sum()))
    return float(np.average([value for value, _ in aucs], weights=[size for _, size in aucs]))


def weights(x: Floats, y: Bools) -> Floats:
    sign, balance = np.where(y, 1.0, -1.0), np.where(y, 1 / max(1, y.sum()), 1 / max(1, (~y).sum())) * len(y) / 2

    def loss(w: Floats) -> tuple[float, Floats]:
        margin = sign * (x @ w)
        share = balance / (1 + np.exp(np.clip(margin, -30, 30)))
        value = (balance * np.logaddexp(0, -margin)).sum() + RIDGE * w @ w / 2
        return float(value), -(x.T @ (share * sign)) + RIDGE * w

    return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x)


def auc(scores: Floats, y: Bools) -> float:
    ranks, positives = rankdata(scores), int(y.sum())
    return float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))
