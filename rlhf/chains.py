"""Chains of critique and revision, as a run left them beside the rows that were learned: read one at a time, shown step by step.

What models wrote is text for a page to escape, and files of a dataset that was imported may hold anything: what is no chain
is told so, and not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext, gettext_lazy

from accounts.errors import UserError
from annotation.differences import Change, changes
from registry.models import DatasetVersion

FOLDER = "chains"
COLUMNS = ("id", "prompt_id", "kind", "prompt", "response", "steps", "scores", "chosen")
WHY: dict[str, Any] = {  # why a revision was not kept
    "leak": gettext_lazy("It speaks of the revision instead of giving it."),
    "empty": gettext_lazy("It is empty."),
    "unchanged": gettext_lazy("It says what was there."),
    "echo": gettext_lazy("It repeats the request."),
    "example": gettext_lazy("It repeats an example that the critic was shown."),
    "cut": gettext_lazy("It was cut before it had ended."),
    "too_long": gettext_lazy("The request left the critic no room for an answer."),
}


class BadChains(UserError):
    code = "bad_chains"


@dataclass(frozen=True, slots=True)
class Step:
    """One round. `changes` lead from the text before to the revision; `score` is that of the text that goes on."""

    number: int
    principle: str
    critique: str
    revision: str
    changes: tuple[Change, ...]
    is_kept: bool
    why: str
    score: float | None
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Chain:
    number: int  # in its split, from 0
    is_revised: bool
    prompt: tuple[tuple[str, str], ...]  # role, text
    response: str
    first_score: float | None
    steps: tuple[Step, ...]
    is_response_chosen: bool

    @property
    def asked(self) -> str:
        return self.prompt[-1][1] if self.prompt else ""

    @property
    def last_score(self) -> float | None:
        return self.steps[-1].score if self.steps else self.first_score

    @property
    def num_kept(self) -> int:
        return sum(step.is_kept for step in self.steps)


def files_of(dataset: DatasetVersion, split: str) -> list[Path]:
    return sorted((dataset.artifact.folder / FOLDER).glob(f"{split}-*.parquet"))


def has_chains(dataset: DatasetVersion) -> bool:
    return (dataset.artifact.folder / FOLDER).is_dir()


def is_scored_by_reward(dataset: DatasetVersion) -> bool:
    """A reward model's score, of which more is better; otherwise harmfulness, from 0 to 1."""
    recipe = (dataset.query or {}).get("recipe") or {}
    return bool(recipe.get("score") == "reward")


def num_chains(dataset: DatasetVersion, split: str) -> int:
    """Read from the files' ends, and not from their rows."""
    with readable():
        return sum(pq.read_metadata(path).num_rows for path in files_of(dataset, split))


def read_chains(dataset: DatasetVersion, split: str, *, start: int, count: int) -> list[Chain]:
    """Only the groups of rows are read in which they stand. Raises `BadChains`."""
    with readable():
        return [chain_of(row, number=number) for number, row in rows_from(dataset, split, start=start, count=count)]


def rows_from(
    dataset: DatasetVersion, split: str, *, start: int, count: int
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    at = 0
    for path in files_of(dataset, split):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if at + size > start and at < start + count:
                table = file.read_row_group(group, columns=list(COLUMNS))
                first = max(0, start - at)
                some = table.slice(first, min(size, start + count - at) - first)
                yield from enumerate(some.to_pylist(), start=at + first)
            at += size


@contextmanager
def readable() -> Iterator[None]:
    """Says in one sentence that files are no chains, whatever it was that could not be read in them."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadChains(gettext("The chains beside this dataset can't be read.")) from error


def chain_of(row: Mapping[str, Any], *, number: int) -> Chain:
    texts, steps = [row["response"]], []
    scores, chosen = row["scores"] or [], set(row["chosen"] or [])
    for place, told in enumerate(row["steps"] or [], start=1):
        before, revision = texts[-1], told["revision"]
        texts.append(revision if told["kept"] else before)
        steps.append(
            Step(
                number=place,
                principle=told["principle"],
                critique=told["critique"],
                revision=revision,
                changes=changes(before, revision),
                is_kept=told["kept"],
                why="" if told["kept"] else str(WHY.get(told["why"], told["why"])),
                score=score_at(scores, place),
                is_chosen=told["kept"] and revision in chosen,
            )
        )
    return Chain(
        number=number,
        is_revised=row["kind"] == "revised",
        prompt=tuple((turn["role"], turn["content"]) for turn in row["prompt"]),
        response=row["response"],
        first_score=score_at(scores, 0),
        steps=tuple(steps),
        is_response_chosen=row["response"] in chosen,
    )


def score_at(scores: list[float], place: int) -> float | None:
    return scores[place] if place < len(scores) and math.isfinite(scores[place]) else None
