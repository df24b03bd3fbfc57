"""What the figures of agreement are sums of: statistics of pairs of rankings, of tasks, and of tables of coincidences.

Letters: those of `table`; V values of places, U pairs of values, B rows of sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotation.quality.table import (
    CHUNK,
    Bytes,
    Flags,
    Floats,
    Ints,
    Table,
    pairs_of_rankings,
    votes_on_columns,
)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Statistics of each pair of rankings of one task."""

    i_P: Ints
    j_P: Ints
    alike_P: Floats
    both_P: Floats
    tau_P: Floats  # nan where undefined
    w_P: Floats  # of the two alone, nan where undefined


def pair_statistics(table: Table) -> Pairs:
    """Over all pairs of rankings of one task, a chunk at a time."""
    i_P, j_P = pairs_of_rankings(table)
    votes_NC, there_NC = votes_on_columns(table.places_NK)
    ties_N = ties_of(table)
    parts = [
        statistics_of(table, i_P[at : at + CHUNK], j_P[at : at + CHUNK], votes_NC, there_NC, ties_N)
        for at in range(0, len(i_P), CHUNK)
    ]
    rows = np.concatenate(parts) if parts else np.empty((0, 4))
    return Pairs(i_P, j_P, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3])


def statistics_of(table: Table, i: Ints, j: Ints, votes_NC: Bytes, there_NC: Flags, ties_N: Floats) -> Floats:
    """[p, 4]: pairs of texts ordered alike, ordered by both, tau-b, and W of the two."""
    one, other = votes_NC[i], votes_NC[j]
    shared = there_NC[i] & there_NC[j]
    products = np.where(shared, one * other, 0)
    alike, opposite = (products > 0).sum(axis=1), (products < 0).sum(axis=1)
    untied = (shared & (one != 0)).sum(axis=1) * (shared & (other != 0)).sum(axis=1)
    tau = divided((alike - opposite).astype(float), np.sqrt(untied))
    first, second = table.places_NK[i].astype(float) / 2, table.places_NK[j].astype(float) / 2
    is_same = ((first > 0) == (second > 0)).all(axis=1)
    num = (first > 0).sum(axis=1)
    spread = np.where(first > 0, np.square(first + second - (num + 1)[:, None]), 0.0).sum(axis=1)
    most = 4 * (num**3 - num) - 2 * (ties_N[i] + ties_N[j])
    w = divided(12 * spread, np.where(is_same, most, 0))
    return np.stack([alike, alike + opposite, tau, w], axis=1).astype(float)


def divided(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))


def ties_of(table: Table) -> Floats:
    """[N]: the sum of t^3 - t over tiers of t texts. The texts of a tier share a place, and each counts t^2 - 1."""
    places = table.places_NK
    equal = (places[:, :, None] == places[:, None, :]) & (places > 0)[:, :, None]
    size = equal.sum(axis=2)
    return np.asarray(np.where(places > 0, np.square(size) - 1, 0).sum(axis=1), dtype=np.float64)


def concordance_of_tasks(table: Table) -> Floats:
    """[T]: Kendall's W of all raters of each task; nan where one ranked it, texts differ, or all tie all."""
    found = np.full(len(table.tasks), np.nan)
    if not table.num:
        return found
    starts = np.flatnonzero(np.diff(table.task_N, prepend=-1))
    present = table.places_NK > 0
    m = np.diff(np.append(starts, table.num))
    same = np.logical_and.reduceat(present, starts) == np.logical_or.reduceat(present, starts)
    sums = np.add.reduceat(table.places_NK.astype(float) / 2, starts)
    n = present[starts].sum(axis=1)
    spread = np.where(present[starts], np.square(sums - (m * (n + 1) / 2)[:, None]), 0.0).sum(axis=1)
    most = m**2 * (n**3 - n) - m * np.add.reduceat(ties_of(table), starts)
    is_told = same.all(axis=1) & (m > 1)
    found[table.task_N[starts]] = divided(12 * spread, np.where(is_told, most, 0))
    return found


def beside_majority(table: Table) -> tuple[Floats, Floats]:
    """[N], [N]: of pairs that a ranking orders and the other rankings of the task do by majority, ordered alike, and all."""
    votes_NC, _ = votes_on_columns(table.places_NK)
    totals = np.zeros((len(table.tasks), votes_NC.shape[1]), dtype=np.int16)
    np.add.at(totals, table.task_N, votes_NC)
    others = np.sign(totals[table.task_N] - votes_NC)
    products = others * votes_NC
    return (products > 0).sum(axis=1).astype(float), (products != 0).sum(axis=1).astype(float)


def values_in(upper_U: Floats, num_values: int) -> float:
    return float(marginals(upper_U[None], num_values=num_values).sum())


def marginals(upper_BU: Floats, *, num_values: int) -> Floats:
    """[B, V] from upper triangles, whose diagonal is whole."""
    rows, cols = np.triu_indices(num_values)
    found = np.zeros((len(upper_BU), num_values))
    for at, (row, col) in enumerate(zip(rows, cols, strict=True)):
        found[:, row] += upper_BU[:, at]
        if row != col:
            found[:, col] += upper_BU[:, at]
    return found


def ordinal_alpha(upper_BU: Floats, *, num_values: int) -> Floats:
    """[B]: 1 - observed / expected disagreement; the distance of two values is the squared number of values between them,
    with half of each end (Krippendorff 2011, section D.3). nan where fewer than two values are there."""
    rows, cols = np.triu_indices(num_values)
    marginal = marginals(upper_BU, num_values=num_values)
    at = np.cumsum(marginal, axis=1) - marginal / 2
    total = marginal.sum(axis=1)
    distance = np.square(at[:, rows] - at[:, cols])
    observed = 2 * (upper_BU * distance).sum(axis=1)
    expected = 2 * (marginal[:, rows] * marginal[:, cols] * distance).sum(axis=1)
    return 1 - divided(observed * (total - 1), expected)
