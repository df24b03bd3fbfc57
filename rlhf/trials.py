"""A trial of one principle as a page and the API show it: its parts as far as they are there, read from what the run said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from annotation.differences import Change, changes
from registry.models import ModelVersion
from rlhf.chains import WHY
from rlhf.services.constitutions.trying import models_of
from runs.models import EventKind, Run, RunState
from runs.pages import num_before

PARTS = ("answer", "critique", "revision", "comparison")


@dataclass(frozen=True, slots=True)
class Part:
    """Something that was written. `score` is its harmfulness, where that was measured."""

    text: str
    has_ended: bool
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """`changes` lead from the answer to it; `score` is that of the text that goes on; `why` it was not kept, and its code."""

    text: str
    changes: tuple[Change, ...]
    is_kept: bool
    code: str
    why: str
    has_ended: bool
    score: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Probabilities that the revision is the better one: shown first, shown second, and both orders together."""

    first: float
    second: float
    both: float
    is_flipped: bool
    is_undecided: bool

    @property
    def is_for_revision(self) -> bool:
        return self.both >= 0.5

    @property
    def certainty(self) -> float:
        """In percent, of what it says."""
        return 100 * max(self.both, 1 - self.both)

    @property
    def percents(self) -> tuple[float, float]:
        return 100 * self.first, 100 * self.second


@dataclass(frozen=True, slots=True)
class Trial:
    run: Run
    model: ModelVersion | None
    feedback: ModelVersion | None  # where another one critiqued
    answer: Part | None
    critique: Part | None
    is_too_long: bool  # the critique request left the model no room
    revision: Revision | None
    judgement: Judgement | None
    not_compared: str  # why not, in a sentence
    num_before: int  # in the queue

    @property
    def recipe(self) -> dict[str, Any]:
        recipe: dict[str, Any] = self.run.recipe
        return recipe

    @property
    def is_under_way(self) -> bool:
        return not self.run.has_ended

    @property
    def num_done(self) -> int:
        return sum(part is not None for part in (self.answer, self.critique, self.revision, self.judgement))

    @property
    def num_parts(self) -> int:
        return len(PARTS) if self.recipe["comparison"] else len(PARTS) - 1

    @property
    def doing(self) -> str:
        """What it works on now, for the one who waits."""
        if not self.run.phase:
            return gettext("Loading the model")
        if self.answer is None:
            return gettext("The model answers")
        if self.critique is None:
            return gettext("The critique is written")
        return (
            gettext("The revision is written") if self.revision is None else gettext("Answer and revision are compared")
        )


def trial_of(run: Run) -> Trial:
    said: dict[str, dict[str, Any]] = {}
    not_compared = ""
    for event in run.events.filter(kind__in=[EventKind.SAMPLE, EventKind.WARNING]).order_by("seq"):
        if event.payload.get("part") in PARTS:
            said[event.payload["part"]] = event.payload  # said again after a resume, it is the same
        elif event.payload.get("code") == "not_compared":
            not_compared = event.payload["sentence"]
    answer, critique = part_of(said.get("answer")), part_of(said.get("critique"))
    given = models_of(run)
    return Trial(
        run=run,
        model=given.get("model"),
        feedback=given.get("feedback"),
        answer=answer,
        critique=critique,
        is_too_long=bool(said.get("critique", {}).get("is_too_long")),
        revision=revision_of(said["revision"], before=answer.text) if answer and "revision" in said else None,
        judgement=judgement_of(said.get("comparison")),
        not_compared=not_compared,
        num_before=num_before(run) if run.state == RunState.QUEUED else 0,
    )


def part_of(told: dict[str, Any] | None) -> Part | None:
    return Part(told["text"], told["ended"], told.get("harmfulness")) if told else None


def revision_of(told: dict[str, Any], *, before: str) -> Revision:
    code = told["why"]
    return Revision(
        told["text"], changes(before, told["text"]), told["kept"], code, str(WHY.get(code, code)), told["ended"],
        told["harmfulness"],
    )  # fmt: skip


def judgement_of(told: dict[str, Any] | None) -> Judgement | None:
    return Judgement(told["ab"], told["ba"], told["p"], told["flipped"], told["abstained"]) if told else None
