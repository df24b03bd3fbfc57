"""Many rankings as arrays of a few bytes each, so that a hundred thousand are compared in seconds.

Letters: N rankings sorted by task and rater, K columns for texts, P pairs of rankings of one task, C pairs of columns.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from annotation.quality.judgement import Judgement

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bytes = NDArray[np.int8]
Flags = NDArray[np.bool_]

MOST_TEXTS = 9  # of a task: the database allows no more
CHUNK = 1 << 15  # pairs of rankings in hand at once


@dataclass(frozen=True, slots=True)
class Table:
    """`places_NK` is twice the place of each text, tied texts share the mean; 0 where it was not ranked.

    `shown_NK` is the place on the page, from 1; 0 where unknown. `row_N` says as which row each was added.
    """

    tasks: tuple[str, ...]
    raters: tuple[str, ...]
    texts: tuple[dict[str, int], ...]  # of each task: text -> column, by name
    task_N: Ints
    rater_N: Ints
    places_NK: Bytes
    shown_NK: Bytes
    seconds_N: Floats
    row_N: Ints

    @property
    def num(self) -> int:
        return len(self.task_N)


class TableBuilder:
    """Takes rankings one by one, and keeps none of their objects; texts beyond `MOST_TEXTS` of a task raise ValueError."""

    def __init__(self) -> None:
        self.tasks: dict[str, int] = {}
        self.raters: dict[str, int] = {}
        self.texts: list[dict[str, int]] = []
        self.task, self.rater = array("q"), array("q")
        self.seconds = array("d")
        self.places, self.shown = array("b"), array("b")

    def add(
        self,
        task: str,
        rater: str,
        tiers: Iterable[Sequence[str]],
        *,
        shown: Sequence[str] = (),
        seconds: float | None = None,
    ) -> None:
        number = self.tasks.setdefault(task, len(self.tasks))
        if number == len(self.texts):
            self.texts.append({})
        column = self.texts[number]
        places, seen = [0] * MOST_TEXTS, [0] * MOST_TEXTS
        before = 0
        for tier in tiers:
            for name in tier:
                places[self.column_of(column, name)] = 2 * before + len(tier) + 1
            before += len(tier)
        for at, name in enumerate(shown, start=1):
            seen[self.column_of(column, name)] = at
        self.task.append(number)
        self.rater.append(self.raters.setdefault(rater, len(self.raters)))
        self.seconds.append(float("nan") if seconds is None else seconds)
        self.places.extend(places)
        self.shown.extend(seen)

    @staticmethod
    def column_of(column: dict[str, int], name: str) -> int:
        found = column.setdefault(name, len(column))
        if found >= MOST_TEXTS:
            raise ValueError(f"A task has {MOST_TEXTS} texts at most.")
        return found

    def table(self) -> Table:
        task_N = sorted_codes(self.tasks)[np.asarray(self.task, dtype=np.intp)]
        rater_N = sorted_codes(self.raters)[np.asarray(self.rater, dtype=np.intp)]
        order = np.lexsort((rater_N, task_N))
        tasks = sorted(self.tasks)
        texts = tuple(self.texts[self.tasks[task]] for task in tasks)
        from_TK = np.tile(np.arange(MOST_TEXTS), (len(tasks), 1))
        for at, names in enumerate(texts):
            from_TK[at, : len(names)] = [names[name] for name in sorted(names)]
        from_NK = from_TK[task_N[order]]
        return Table(
            tasks=tuple(tasks),
            raters=tuple(sorted(self.raters)),
            texts=tuple({name: column for column, name in enumerate(sorted(names))} for names in texts),
            task_N=task_N[order],
            rater_N=rater_N[order],
            places_NK=by_name(self.places, order, from_NK),
            shown_NK=by_name(self.shown, order, from_NK),
            seconds_N=np.asarray(self.seconds, dtype=np.float64)[order],
            row_N=order,
        )


def by_name(values: array[int], order: Ints, from_NK: Ints) -> Bytes:
    """[N, K], columns in the order of the texts' names: which text came first must not say anything."""
    found = np.asarray(values, dtype=np.int8).reshape(-1, MOST_TEXTS)[order]
    return np.asarray(np.take_along_axis(found, from_NK, axis=1))


def sorted_codes(names: dict[str, int]) -> Ints:
    """Number of a name as it was added -> its number in alphabetical order: figures don't hang on the order of rows."""
    codes = np.empty(len(names), dtype=np.intp)
    for code, name in enumerate(sorted(names)):
        codes[names[name]] = code
    return codes


def table_of(judgements: Iterable[Judgement]) -> Table:
    builder = TableBuilder()
    for one in judgements:
        builder.add(one.task, one.rater, one.tiers, shown=one.shown, seconds=one.seconds)
    return builder.table()


def columns() -> tuple[Ints, Ints]:
    """The two columns of each of the C pairs."""
    one, other = np.array(list(combinations(range(MOST_TEXTS), 2)), dtype=np.intp).T
    return one, other


def votes_on_columns(places_NK: Bytes) -> tuple[Bytes, Flags]:
    """[N, C]: 1 the first of two columns is better, -1 the second, 0 a tie; and whether both were ranked."""
    one, other = columns()
    first, second = places_NK[:, one], places_NK[:, other]
    is_there = (first > 0) & (second > 0)
    return np.where(is_there, np.sign(second - first), 0).astype(np.int8), is_there


def pairs_of_rankings(table: Table) -> tuple[Ints, Ints]:
    """Rows i < j of one task by different raters."""
    found_i: list[Ints] = []
    found_j: list[Ints] = []
    most = int(np.bincount(table.task_N).max()) if table.num else 0
    for apart in range(1, most):
        at = np.flatnonzero(
            (table.task_N[apart:] == table.task_N[:-apart]) & (table.rater_N[apart:] != table.rater_N[:-apart])
        )
        found_i.append(at)
        found_j.append(at + apart)
    if not found_i:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    i, j = np.concatenate(found_i), np.concatenate(found_j)
    order = np.lexsort((j, i))
    return i[order], j[order]
