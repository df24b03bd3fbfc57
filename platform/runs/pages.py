"""What the pages of runs show, as plain values: templates query nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.urls import reverse

from accounts.numbers import digits, whole
from registry.models import Artifact, DatasetVersion, ModelVersion
from runs import recipe_form
from runs.models import EventKind, Run, RunEvent, RunState
from runs.recipe_form import label_of
from runs.recipe_words import said
from runs.words import rows
from training.recipes import RECIPES

TURN_MARKS = re.compile(r"<\|im_start\|>(?:user|assistant|system)\n?|<\|im_end\|>")


@dataclass(frozen=True, slots=True)
class Named:
    """Something a run took or made, with the page to open it."""

    label: str
    name: str
    url: str = ""
    note: str = ""
    is_simulated: bool = False


def recipe_rows(run: Run) -> list[tuple[str, str, bool]]:
    recipe = RECIPES[run.method]
    return recipe_form.differences(run.recipe, recipe.presets.get(run.preset, {}), recipe)


def inputs_of(run: Run) -> list[Named]:
    given = list(
        run.inputs.select_related("artifact__model", "artifact__dataset", "after__output__artifact").order_by("pk")
    )
    found = []
    for entry in given:
        if entry.after is not None:
            note = "" if entry.after.has_ended else entry.after.get_state_display()
            found.append(
                Named(said(label_of(entry.name)), entry.after.title, reverse("run", args=[entry.after.pk]), note)
            )
        elif entry.artifact is not None:
            found.append(named_artifact(said(label_of(entry.name)), entry.artifact))
    return found


def made_by(run: Run) -> list[Named]:
    output = getattr(run, "output", None)
    return [named_artifact("made", output.artifact)] if output is not None else []


def named_artifact(label: str, artifact: Artifact) -> Named:
    model: ModelVersion | None = getattr(artifact, "model", None)
    if model is not None:
        url = reverse("model", args=[model.pk])
        return Named(label, model.name, url, model.get_role_display(), model.is_simulated)
    dataset: DatasetVersion | None = getattr(artifact, "dataset", None)
    if dataset is not None:
        url = reverse("dataset", args=[dataset.pk])
        return Named(label, dataset.name, url, rows(dataset.num_rows), dataset.is_simulated)
    return Named(label, f"{artifact.get_kind_display()} {artifact.sha256[:8]}")


def waits_for(run: Run) -> Run | None:
    """The run whose output a queued one needs first."""
    if run.state != RunState.QUEUED:
        return None
    entry = (
        run.inputs.filter(after__isnull=False).exclude(after__state=RunState.SUCCEEDED).select_related("after").first()
    )
    return entry.after if entry is not None else None


def num_before(run: Run) -> int:
    """Queued runs that go before this one."""
    ahead = Q(priority__lt=run.priority) | Q(priority=run.priority, queued_at__lt=run.queued_at)
    return Run.objects.filter(ahead, state=RunState.QUEUED).count()


@dataclass(frozen=True, slots=True)
class Sample:
    step: int
    text: str
    more: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class SampledPrompt:
    """One prompt with what the model wrote to it at each checkpoint, newest first."""

    prompt: str
    samples: tuple[Sample, ...]

    @property
    def num_earlier(self) -> int:
        return len(self.samples) - 1


def samples_of(run: Run, *, limit: int) -> list[SampledPrompt]:
    events = RunEvent.objects.filter(run=run, kind=EventKind.SAMPLE).order_by("-seq")[:limit]
    by_prompt: dict[str, dict[int, Sample]] = {}
    for event in events:
        rest = dict(event.payload)
        prompt, text, step = without_marks(rest.pop("prompt", "")), rest.pop("text", ""), rest.pop("step", 0)
        # Said again after a resume: the later word, which comes first here, holds.
        by_prompt.setdefault(prompt, {}).setdefault(step, Sample(step, text, tuple(rest.items())))
    return [SampledPrompt(prompt, tuple(samples.values())) for prompt, samples in by_prompt.items()]


def without_marks(prompt: str) -> str:
    """What was asked, without the marks of turns that a chat template puts around it."""
    return TURN_MARKS.sub("", prompt).strip() or prompt


@dataclass(frozen=True, slots=True)
class LogLine:
    at: datetime
    kind: str
    text: str


def log_line(event: RunEvent) -> LogLine:
    payload = event.payload
    text = payload.get("text") or payload.get("sentence") or payload.get("state") or ""
    return LogLine(event.at, event.get_kind_display(), str(text))


def final_metrics(run: Run) -> list[tuple[str, Any]]:
    """What the run said of itself at its end, numbers rounded to what a person reads; nested ones are left to the API."""
    return [(name.replace("_", " "), rounded(value)) for name, value in run.metrics.items() if is_shown(value)]


def is_shown(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return digits(value)
    return whole(value) if isinstance(value, int) else value
