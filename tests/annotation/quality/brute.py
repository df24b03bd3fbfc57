"""Agreement counted anew, ranking by ranking and pair by pair, without any of the product's arithmetic.

A ranking here is (task, rater, {text: place}); texts that tie share the mean of their places.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import scipy.stats

Row = tuple[str, str, dict[str, float]]


def row_of(task: str, rater: str, tiers) -> Row:
    names, levels = zip(*((name, level) for level, tier in enumerate(tiers) for name in tier), strict=True)
    return task, rater, dict(zip(names, scipy.stats.rankdata(levels).tolist(), strict=True))


def by_task(rows: list[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return {task: sorted(found[task], key=lambda row: row[1]) for task in sorted(found)}


def prefers(places: dict[str, float], one: str, other: str) -> int:
    return 0 if places[one] == places[other] else 1 if places[one] < places[other] else -1


def pairs_of(first: dict[str, float], second: dict[str, float]) -> list[tuple[int, int]]:
    common = sorted(first.keys() & second.keys())
    return [(prefers(first, a, b), prefers(second, a, b)) for a, b in itertools.combinations(common, 2)]


def couples(rows: list[Row], *, who: set[str] | None = None):
    """Pairs of rankings of one task; with `who`, those in which one of them is, or both are where there are two."""
    for (_, one, first), (_, other, second) in itertools.combinations(rows, 2):
        if who is None or (len(who) == 1 and who & {one, other}) or who == {one, other}:
            yield first, second


def pairwise(tasks: list[list[Row]], who=None) -> float:
    said = [pair for rows in tasks for one, two in couples(rows, who=who) for pair in pairs_of(one, two) if all(pair)]
    return np.mean([a == b for a, b in said]) if said else math.nan


def tau_b(tasks: list[list[Row]], who=None) -> float:
    """scipy's, of the places of the texts that two have in common; averaged over pairs of rankings."""
    found = []
    for rows in tasks:
        for one, two in couples(rows, who=who):
            common = sorted(one.keys() & two.keys())
            if len({one[n] for n in common}) > 1 and len({two[n] for n in common}) > 1:
                found.append(scipy.stats.kendalltau([one[n] for n in common], [two[n] for n in common]).statistic)
    return np.mean(found) if found else math.nan


def concordance(rows: list[Row]) -> float:
    """W from Friedman's statistic: chi^2 = m (n - 1) W, which scipy corrects for ties. Two raters' W is (1 + rho) / 2."""
    places = [places for _, _, places in rows]
    if len(rows) < 2 or any(one.keys() != places[0].keys() for one in places):
        return math.nan
    names = sorted(places[0])
    matrix = np.array([[one[name] for name in names] for one in places])
    if (matrix == matrix[:, :1]).all():
        return math.nan
    if len(rows) > 2 and len(names) > 2:
        return scipy.stats.friedmanchisquare(*matrix.T).statistic / (len(rows) * (len(names) - 1))
    spread = (
        (matrix.sum(axis=0) - matrix.sum(axis=0).mean()) ** 2
    ).sum()  # fewer than scipy takes: Kendall 1962, ch. 6
    n, m = len(names), len(rows)
    ties = sum(count**3 - count for row in matrix for count in Counter(row.tolist()).values())
    return 12 * spread / (m * m * (n**3 - n) - m * ties)


def w(tasks: list[list[Row]]) -> float:
    found = [value for rows in tasks if not math.isnan(value := concordance(rows))]
    return np.mean(found) if found else math.nan


def alpha(units: list[list[float]]) -> float:
    """Ordinal alpha by the definition: observed and expected disagreement over pairs of values (Krippendorff 2011)."""
    units = [unit for unit in units if len(unit) > 1]
    counts = Counter(value for unit in units for value in unit)
    if len(counts) < 2:
        return math.nan
    levels = sorted(counts)

    def apart(c: float, k: float) -> float:
        between = [g for g in levels if min(c, k) <= g <= max(c, k)]
        return (sum(counts[g] for g in between) - (counts[c] + counts[k]) / 2) ** 2

    distance = {(c, k): apart(c, k) for c in levels for k in levels}
    total = sum(counts.values())
    observed = sum(distance[c, k] / (len(unit) - 1) for unit in units for c, k in itertools.permutations(unit, 2))
    expected = sum(counts[c] * counts[k] * distance[c, k] for c in levels for k in levels)
    return 1 - (total - 1) * observed / expected


def units_of_all(tasks: list[list[Row]]) -> list[list[float]]:
    units = []
    for rows in tasks:
        for name in sorted({name for _, _, places in rows for name in places}):
            units.append([places[name] for _, _, places in rows if name in places])
    return units


def units_of_two(tasks: list[list[Row]], who) -> list[list[float]]:
    return [
        [one[name], two[name]]
        for rows in tasks
        for one, two in couples(rows, who=who)
        for name in sorted(one.keys() & two.keys())
    ]


def with_majority(tasks: list[list[Row]], who=None) -> float:
    """Of pairs that a ranking orders and more of the others order one way than the other: alike."""
    said = []
    for rows in tasks:
        for row in rows:
            if who is not None and row[1] not in who:
                continue
            for a, b in itertools.combinations(sorted(row[2]), 2):
                others = sum(prefers(o[2], a, b) for o in rows if o is not row and a in o[2] and b in o[2])
                if prefers(row[2], a, b) and others:
                    said.append(prefers(row[2], a, b) == np.sign(others))
    return np.mean(said) if said else math.nan


def interval(tasks: list[list[Row]], figure, *, num_resamples: int, seed: int = 0) -> tuple[float, float]:
    """Percentiles of `figure` over tasks drawn with replacement by numpy's generator, in the order of their names."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(tasks), size=(num_resamples, len(tasks)))
    values = [figure([tasks[at] for at in row]) for row in drawn]
    return tuple(np.percentile([value for value in values if not math.isnan(value)], [2.5, 97.5]))
