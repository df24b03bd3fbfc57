"""Rankings of a campaign, read once and row by row into tables: of people, and of programs that play raters."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotation.models import Campaign, Ranking, TaskCompletion, TaskKind
from annotation.quality.table import MOST_TEXTS, Floats, Ints, Table, TableBuilder

CHUNK = 2000
UNNAMED = gettext_noop("unnamed")  # the kind of prompts of which nobody said any
COLUMNS = (
    "task_id", "rater__username", "tiers", "edit_id", "seconds", "created_at", "guideline__number", "assignment__order",
    "task__prompt__kind", "cannot_rank", "assignment__leased_at", "assignment__ended_at", "is_simulated",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read:
    """`table` holds those with an order; what is `of_all` counts every answer, in the order of its time.

    Labels belong to the rows of the table: days and guidelines by number, kinds by name. `model_TK` is -1 where unknown.
    """

    table: Table
    day_N: Ints  # ordinals
    guideline_N: Ints  # 0: none
    kind_N: Ints
    kinds: tuple[str, ...]
    model_TK: Ints
    length_TK: Floats
    models: tuple[str, ...]
    at_of_all: Floats  # seconds since 1970
    seconds_of_all: Floats  # nan where the browser did not say


class Reader:
    """Takes rows as the database gives them, in `COLUMNS`."""

    def __init__(self) -> None:
        self.builder = TableBuilder()
        self.day, self.guideline, self.kind = array("q"), array("q"), array("q")
        self.at, self.took = array("d"), array("d")
        self.kinds: dict[str, int] = {}

    def take(self, row: tuple[Any, ...]) -> None:
        task, rater, tiers, edit, seconds, at, guideline, order, kind, cannot_rank, leased_at, ended_at, _ = row
        self.at.append(at.timestamp())
        self.took.append(float("nan") if seconds is None else seconds)
        if cannot_rank:
            return
        shown = () if leased_at == ended_at else order  # an import knows no order in which texts were shown
        self.builder.add(str(task), rater, tiers[1:] if edit else tiers, shown=shown, seconds=seconds)
        self.day.append(day_of(at))
        self.guideline.append(guideline or 0)
        self.kind.append(self.kinds.setdefault(kind or UNNAMED, len(self.kinds)))

    def read(self, campaign: Campaign) -> Read:
        table = self.builder.table()
        model_TK, length_TK, models = texts_of(campaign, table)
        rows = table.row_N
        return Read(
            table=table, day_N=numbers(self.day)[rows], guideline_N=numbers(self.guideline)[rows],
            kind_N=numbers(self.kind)[rows], kinds=tuple(self.kinds), model_TK=model_TK, length_TK=length_TK, models=models,
            at_of_all=np.asarray(self.at, dtype=np.float64), seconds_of_all=np.asarray(self.took, dtype=np.float64),
        )  # fmt: skip


def numbers(values: array[int]) -> Ints:
    return np.asarray(values, dtype=np.intp)


def day_of(at: datetime) -> int:
    return timezone.localtime(at).toordinal()


def named_day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


def live_rankings(campaign: Campaign) -> QuerySet[Ranking]:
    return Ranking.objects.filter(task__campaign=campaign, task__kind=TaskKind.WORK, is_live=True)


def read_rankings(campaign: Campaign) -> tuple[Read | None, Read | None]:
    """What people said and what programs said, never mixed; None where they said nothing. Work alone, what is live."""
    people, programs = Reader(), Reader()
    for row in live_rankings(campaign).order_by("created_at", "pk").values_list(*COLUMNS).iterator(chunk_size=CHUNK):
        (programs if row[-1] else people).take(row)
    found = [reader.read(campaign) if len(reader.at) else None for reader in (people, programs)]
    return found[0], found[1]


def texts_of(campaign: Campaign, table: Table) -> tuple[Ints, Floats, tuple[str, ...]]:
    """[T, K] numbers of models, [T, K] lengths in characters, and the models by name."""
    task_of = {task: at for at, task in enumerate(table.tasks)}
    model_TK = np.full((len(table.tasks), MOST_TEXTS), -1, dtype=np.intp)
    length_TK = np.zeros((len(table.tasks), MOST_TEXTS))
    models: dict[str, int] = {}
    for task, text, model, length in entries_of(campaign):
        at = task_of.get(task)
        column = None if at is None else table.texts[at].get(text)
        if at is None or column is None:
            continue
        length_TK[at, column] = length
        if model:
            model_TK[at, column] = models.setdefault(model, len(models))
    names = sorted(models)
    renumber = np.array([names.index(name) for name in models] + [-1], dtype=np.intp)  # -1 stays -1
    return renumber[model_TK], length_TK, tuple(names)


def entries_of(campaign: Campaign) -> Iterator[tuple[str, str, str, int]]:
    """(task, text, model's name, characters) of every text of a task that somebody ranked."""
    ranked = Ranking.objects.filter(task=OuterRef("task"), is_live=True)
    entries = TaskCompletion.objects.filter(
        Exists(ranked), task__campaign=campaign, task__kind=TaskKind.WORK
    ).order_by()
    columns = (
        "task_id", "completion_id", "completion__model__name", "completion__model_label", Length("completion__text"),
    )  # fmt: skip
    for task, text, model, label, length in entries.values_list(*columns).iterator(chunk_size=CHUNK):
        yield str(task), str(text), model or label or "", length
