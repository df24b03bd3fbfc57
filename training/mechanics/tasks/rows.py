"""Labelled rows as a task reads them: which of a dataset's rows are of the task, and what it may not do without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.contract import Failure, Input
from training.mechanics import datasets
from training.recipes.finetune import TaskName

NEEDS: dict[TaskName, str] = {
    "classification": "has a label",
    "entities": "has spans and no question",
    "answers": "has a question",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of a text, the latter the first one behind; `label` is empty for an answer."""

    start: int
    end: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    text: str
    question: str = ""
    label: str = ""
    spans: tuple[Span, ...] = ()
    group: str = ""

    @property
    def unit(self) -> str:
        """What is resampled for an interval: rows of one group, or on one text, are not independent of each other."""
        return self.group or self.text


def row_of(raw: dict[str, Any]) -> Row:
    spans = tuple(Span(span["start"], span["end"], span["label"]) for span in raw["spans"])
    return Row(raw["id"], raw["text"], raw["question"], raw["label"], spans, raw["group"])


def read_labelled(given: Input, *, task: TaskName, split: str) -> list[Row]:
    """The rows of a split that are of the task, in their order."""
    rows = [row_of(raw) for raw in datasets.read_rows(given, split=split)]
    match task:
        case "classification":
            return [row for row in rows if row.label and not row.question]
        case "entities":
            return [row for row in rows if not row.question and (row.spans or not row.label)]
        case "answers":
            return [row for row in rows if row.question]


def refuse_none(rows: list[Row], *, task: TaskName, given: Input) -> None:
    """Raises `Failure("no_rows")` where there is nothing to learn or to measure."""
    if not rows or (task != "classification" and not any(row.spans for row in rows)):
        raise Failure(
            "no_rows",
            f"No row of {given.name or 'the dataset'} is one of {task}: none {NEEDS[task]}.",
            advice="Choose the task that the dataset is labelled for, or another dataset.",
        )
