"""Labels from many raters who err each in their own way: Dawid & Skene's model, with the majority beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLOOR = 1e-3  # votes added to every cell: a label that a rater never gave keeps a logarithm, and EM settles


@dataclass(frozen=True, slots=True)
class Label:
    """One rater's label of one item."""

    item: str
    rater: str
    label: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """`labels` of items; `posteriors[item]` over `classes`; `confusion[rater][i][j]`: given the truth i, she says j."""

    classes: tuple[str, ...]
    labels: dict[str, str]
    posteriors: dict[str, tuple[float, ...]]
    confusion: dict[str, tuple[tuple[float, ...], ...]]
    num_rounds: int
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Coded:
    """Labels as arrays: `item`, `rater` and `label` of each are numbers of the names."""

    items: tuple[str, ...]
    raters: tuple[str, ...]
    classes: tuple[str, ...]
    item: NDArray[np.intp]
    rater: NDArray[np.intp]
    label: NDArray[np.intp]


def majority_labels(labels: Iterable[Label]) -> dict[str, tuple[str, ...]]:
    """For each item the labels that most raters gave: several where they tie."""
    coded = _coded(labels)
    counts = _counts(coded)
    return {
        item: tuple(name for name, count in zip(coded.classes, row, strict=True) if count == row.max())
        for item, row in zip(coded.items, counts, strict=True)
    }


def dawid_skene(labels: Iterable[Label], *, most_rounds: int = 2000, tolerance: float = 1e-7) -> Labelled:
    """EM for the truth of each item and a confusion matrix a rater (Dawid & Skene 1979, eqs. 2.3 to 2.5).

    Starts from the shares of votes, as the paper does. Raises ValueError where there are no labels.
    """
    coded = _coded(labels)
    if not coded.items:
        raise ValueError("Dawid and Skene's model needs labels.")
    posterior, rounds, is_settled = settle(coded, most_rounds=most_rounds, tolerance=tolerance)
    return _labelled(coded, posterior, rounds=rounds, is_settled=is_settled)


def settle(coded: Coded, *, most_rounds: int = 2000, tolerance: float = 1e-7) -> tuple[Floats, int, bool]:
    """The posteriors [item, class], after how many rounds, and whether they came to rest."""
    posterior = _counts(coded)
    posterior /= posterior.sum(axis=1, keepdims=True)
    is_settled, rounds = False, 0
    while not is_settled and rounds < most_rounds:
        rounds += 1
        confusion, shares = _maximise(coded, posterior)
        after = _expect(coded, confusion, shares)
        is_settled = float(np.abs(after - posterior).max()) < tolerance
        posterior = after
    return posterior, rounds, is_settled


def _coded(labels: Iterable[Label]) -> Coded:
    rows = list(labels)
    items, item = _codes([row.item for row in rows])
    raters, rater = _codes([row.rater for row in rows])
    classes, label = _codes([row.label for row in rows])
    return Coded(items, raters, classes, item, rater, label)


def _codes(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    known = tuple(sorted(set(names)))
    index = {name: i for i, name in enumerate(known)}
    return known, np.array([index[name] for name in names], dtype=np.intp)


def _counts(coded: Coded) -> Floats:
    counts = np.zeros((len(coded.items), len(coded.classes)))
    np.add.at(counts, (coded.item, coded.label), 1.0)
    return counts


def _maximise(coded: Coded, posterior: Floats) -> tuple[Floats, Floats]:
    """Confusion [rater, truth, said] and the shares of the classes."""
    num = len(coded.classes)
    cell, size = coded.rater * num + coded.label, len(coded.raters) * num
    counts = np.stack([np.bincount(cell, posterior[coded.item, truth], size) for truth in range(num)], axis=1)
    confusion = counts.reshape(len(coded.raters), num, num).transpose(0, 2, 1) + FLOOR
    return confusion / confusion.sum(axis=2, keepdims=True), posterior.mean(axis=0)


def _expect(coded: Coded, confusion: Floats, shares: Floats) -> Floats:
    said = np.log(confusion)[coded.rater, :, coded.label]
    votes = [np.bincount(coded.item, said[:, truth], len(coded.items)) for truth in range(len(coded.classes))]
    logs = np.stack(votes, axis=1) + np.log(np.maximum(shares, 1e-300))
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def _labelled(coded: Coded, posterior: Floats, *, rounds: int, is_settled: bool) -> Labelled:
    confusion, _ = _maximise(coded, posterior)
    best = posterior.argmax(axis=1)
    return Labelled(
        classes=coded.classes,
        labels={item: coded.classes[best[i]] for i, item in enumerate(coded.items)},
        posteriors={item: tuple(posterior[i].tolist()) for i, item in enumerate(coded.items)},
        confusion={rater: tuple(map(tuple, confusion[i].tolist())) for i, rater in enumerate(coded.raters)},
        num_rounds=rounds,
        is_settled=is_settled,
    )
