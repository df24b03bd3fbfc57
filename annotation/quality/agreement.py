"""How far raters agree, overall, each with the others, and each pair: five figures with intervals, on arrays.

Every figure is a function of sums over tasks, so that one pass over pairs of rankings serves all groups and all resamples.
Letters: those of `table`; G groups, S cells (one task within one group), D statistics, V values of places, U pairs of values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext_noop

from annotation.quality.bootstrap import RESAMPLES, measured, ratio, resampled_sums
from annotation.quality.judgement import Measure
from annotation.quality.pair_statistics import (
    beside_majority,
    concordance_of_tasks,
    ordinal_alpha,
    pair_statistics,
    values_in,
)
from annotation.quality.table import (
    MOST_TEXTS,
    Floats,
    Ints,
    Table,
)

PAIRWISE, ALPHA, TAU_B, W, MAJORITY = "pairwise", "alpha", "tau_b", "w", "majority"
WHY = {
    PAIRWISE: gettext_noop("No two raters had a preference on the same pair of texts."),
    ALPHA: gettext_noop("No text was placed by two raters, or all places are the same, so that chance can't be told."),
    TAU_B: gettext_noop("No two rankings of one task both have an order."),
    W: gettext_noop("No task was ranked by two raters on the same texts, with an order."),
    MAJORITY: gettext_noop("No rating of a pair can be held against a majority of others."),
}
COLUMNS = ("alike", "both", "tau", "taus", "w", "ws", "with_majority", "majorities")
AT = {name: at for at, name in enumerate(COLUMNS)}
D = len(COLUMNS)


@dataclass(frozen=True, slots=True)
class Agreement:
    """`num_tasks` are those that two or more ranked. Figures: by the names above; `majority` is absent for two raters."""

    num_rankings: int
    num_tasks: int
    figures: dict[str, Measure]


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of all groups, those of a group together and in the order of tasks."""

    group_S: Ints
    task_S: Ints
    of_P: Ints  # the cell of each member that was coded

    def sums(self, values_P: Floats) -> Floats:
        return np.bincount(self.of_P, values_P, minlength=len(self.group_S)).astype(np.float64)


def cells_of(group_P: Ints, task_P: Ints, *, num_tasks: int) -> Cells:
    keys, of_P = np.unique(group_P * num_tasks + task_P, return_inverse=True)
    return Cells(keys // max(1, num_tasks), keys % max(1, num_tasks), of_P)


class Agreements:
    """All agreement of one table. Made once; asked for groups."""

    def __init__(self, table: Table, *, num_resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.table, self.num_resamples, self.seed = table, num_resamples, seed
        self.pairs = pair_statistics(table)
        self.w_T = concordance_of_tasks(table)
        self.with_N, self.against_N = beside_majority(table)
        self.values = np.unique(table.places_NK[table.places_NK > 0])
        self.is_shared_T = np.bincount(table.task_N, minlength=len(table.tasks)) > 1

    def overall(self) -> Agreement:
        nobody = np.zeros(len(self.pairs.i_P), dtype=np.intp)
        rows = np.flatnonzero(self.is_shared_T[self.table.task_N])
        found = self.by_group(
            nobody, num_groups=1, rows_M=rows, group_M=np.zeros(len(rows), dtype=np.intp), weigh=self.share_of_unit
        )
        return found[0]

    def by_rater(self) -> dict[str, Agreement]:
        """Each with all others of her tasks; alpha takes each text and each other rater as a unit of two values."""
        i, j = self.pairs.i_P, self.pairs.j_P
        rows = np.flatnonzero(self.is_shared_T[self.table.task_N])
        found = self.by_group(
            np.concatenate([self.table.rater_N[i], self.table.rater_N[j]]), num_groups=len(self.table.raters),
            members=np.concatenate([np.arange(len(i)), np.arange(len(i))]), rows_M=rows, group_M=self.table.rater_N[rows],
        )  # fmt: skip
        return dict(zip(self.table.raters, found, strict=True))

    def by_pair(self) -> dict[tuple[str, str], Agreement]:
        """Of each two raters who ranked a task in common. W is of the two alone."""
        raters = len(self.table.raters)
        i, j = self.table.rater_N[self.pairs.i_P], self.table.rater_N[self.pairs.j_P]
        known, group_P = np.unique(np.minimum(i, j) * raters + np.maximum(i, j), return_inverse=True)
        found = self.by_group(group_P, num_groups=len(known))
        names = [(self.table.raters[key // raters], self.table.raters[key % raters]) for key in known.tolist()]
        return dict(zip(names, found, strict=True))

    def by_label(self, group_P: Ints, *, num_groups: int) -> list[Agreement]:
        """Groups of pairs of rankings, as the caller labels them; -1 is in none."""
        members = np.flatnonzero(group_P >= 0)
        return self.by_group(group_P[members], num_groups=num_groups, members=members)

    def by_group(
        self,
        group_P: Ints,
        *,
        num_groups: int,
        members: Ints | None = None,
        rows_M: Ints | None = None,
        group_M: Ints | None = None,
        weigh: Callable[[Ints, int], Floats] | None = None,
    ) -> list[Agreement]:
        """`members` are the pairs that `group_P` labels (all), `rows_M` and `group_M` the rankings held against a majority.

        Without those, W is of the two rankings of a pair. `weigh` weighs coincidences (1).
        """
        at = np.arange(len(group_P)) if members is None else members
        task_P = self.table.task_N[self.pairs.i_P[at]]
        cells = cells_of(group_P, task_P, num_tasks=len(self.table.tasks))
        stats = np.zeros((len(cells.group_S), D))
        tau, w = self.pairs.tau_P[at], self.pairs.w_P[at]
        stats[:, AT["alike"]] = cells.sums(self.pairs.alike_P[at])
        stats[:, AT["both"]] = cells.sums(self.pairs.both_P[at])
        stats[:, AT["tau"]], stats[:, AT["taus"]] = cells.sums(np.nan_to_num(tau)), cells.sums(~np.isnan(tau) * 1.0)
        if rows_M is None or group_M is None:
            stats[:, AT["w"]], stats[:, AT["ws"]] = cells.sums(np.nan_to_num(w)), cells.sums(~np.isnan(w) * 1.0)
        else:
            of_tasks = self.w_T[cells.task_S]
            stats[:, AT["w"]], stats[:, AT["ws"]] = np.nan_to_num(of_tasks), ~np.isnan(of_tasks)
            self.add_majorities(stats, cells, rows_M, group_M)
        coincidences = self.coincidences(cells, at, weigh)
        rankings = self.rankings_of(cells, at, num_groups=num_groups)
        ends = np.searchsorted(cells.group_S, np.arange(num_groups + 1))
        return [
            self.told(
                stats,
                coincidences,
                slice(ends[group], ends[group + 1]),
                rankings[group],
                with_majority=rows_M is not None,
            )
            for group in range(num_groups)
        ]

    def add_majorities(self, stats: Floats, cells: Cells, rows: Ints, group_M: Ints) -> None:
        num = len(self.table.tasks)
        keys = cells.group_S * num + cells.task_S
        wanted = group_M * num + self.table.task_N[rows]
        where = np.searchsorted(keys, wanted)
        is_known = (where < len(keys)) & (keys[np.minimum(where, len(keys) - 1)] == wanted) if len(keys) else where < 0
        at = where[is_known]
        stats[:, AT["with_majority"]] = np.bincount(at, self.with_N[rows][is_known], minlength=len(keys))
        stats[:, AT["majorities"]] = np.bincount(at, self.against_N[rows][is_known], minlength=len(keys))

    def rankings_of(self, cells: Cells, at: Ints, *, num_groups: int) -> list[int]:
        """Different rankings in the pairs of each group."""
        group = cells.group_S[cells.of_P]
        both = np.concatenate([group, group]) * max(1, self.table.num) + np.concatenate(
            [self.pairs.i_P[at], self.pairs.j_P[at]]
        )
        counts = np.bincount(np.unique(both) // max(1, self.table.num), minlength=num_groups)
        return [int(count) for count in counts]

    def share_of_unit(self, task_p: Ints, column: int) -> Floats:
        """1 / (m - 1) where m raters placed the text: a unit's coincidences weigh as many as its values (Krippendorff 2011)."""
        counts = np.bincount(self.table.task_N[self.table.places_NK[:, column] > 0], minlength=len(self.table.tasks))
        return np.asarray(1 / np.maximum(1, counts[task_p] - 1))

    def coincidences(self, cells: Cells, at: Ints, weigh: Callable[[Ints, int], Floats] | None) -> Floats:
        """[S, U]: the upper triangle of each cell's symmetric coincidences of values."""
        v = len(self.values)
        upper = np.full((v, v), 0, dtype=np.intp)
        rows, cols = np.triu_indices(v)
        upper[rows, cols] = upper[cols, rows] = np.arange(len(rows))
        found = np.zeros(len(cells.group_S) * len(rows))
        i, j = self.pairs.i_P[at], self.pairs.j_P[at]
        for column in range(MOST_TEXTS):
            one, other = self.table.places_NK[i, column], self.table.places_NK[j, column]
            is_both = np.flatnonzero((one > 0) & (other > 0))
            if not len(is_both):
                continue
            first, second = (np.searchsorted(self.values, x[is_both]) for x in (one, other))
            task = self.table.task_N[i[is_both]]
            weight = np.ones(len(is_both)) if weigh is None else weigh(task, column)
            weight = np.where(first == second, 2 * weight, weight)
            found += np.bincount(cells.of_P[is_both] * len(rows) + upper[first, second], weight, minlength=len(found))
        return found.reshape(len(cells.group_S), len(rows))

    def told(
        self, stats: Floats, coincidences: Floats, mine: slice, num_rankings: int, *, with_majority: bool
    ) -> Agreement:
        table = np.concatenate([stats[mine], coincidences[mine]], axis=1)
        sums = table.sum(axis=0, keepdims=True)
        resampled = resampled_sums(table, num_resamples=self.num_resamples, seed=self.seed) if len(table) > 1 else None
        v = len(self.values)

        def measure(name: str, figure: Callable[[Floats], Floats], num: float) -> Measure:
            drawn = None if resampled is None else figure(resampled)
            return measured(float(figure(sums)[0]), num=round(num), resampled_B=drawn, why=WHY[name])

        def share(of: str, over: str) -> Callable[[Floats], Floats]:
            return lambda rows: ratio(rows, of=AT[of], over=AT[over])

        figures = {
            PAIRWISE: measure(PAIRWISE, share("alike", "both"), sums[0, AT["both"]]),
            ALPHA: measure(ALPHA, lambda rows: ordinal_alpha(rows[:, D:], num_values=v), values_in(sums[0, D:], v)),
            TAU_B: measure(TAU_B, share("tau", "taus"), sums[0, AT["taus"]]),
            W: measure(W, share("w", "ws"), sums[0, AT["ws"]]),
        }
        if with_majority:
            figures[MAJORITY] = measure(MAJORITY, share("with_majority", "majorities"), sums[0, AT["majorities"]])
        return Agreement(num_rankings, len(table), figures)
