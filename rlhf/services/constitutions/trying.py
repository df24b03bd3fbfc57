"""Trying one principle on one prompt: a run that people wait for, which makes nothing but texts to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext, ngettext

from accounts.errors import Conflict, UserError
from accounts.models import User
from accounts.numbers import whole
from annotation.services.texts import complaint_about
from registry.models import SILENT, Alias, Artifact, ModelVersion
from rlhf.models import ConstitutionVersion
from rlhf.services.constitutions.wording import Example, Wording, tidy
from rlhf.services.rounds import CURRENT
from runs.models import Priority, Run, RunState
from runs.services.inputs import Given
from runs.services.start import start_run
from training.recipes.constitutional import ConstitutionalRecipe
from training.recipes.try_principle import TryPrincipleRecipe

METHOD = "try_principle"
LONGEST_PROMPT = 8_000
MOST_UNDER_WAY = 4  # trials of one person: others wait for workers, too
EXAMPLES: int = ConstitutionalRecipe.model_fields["examples"].default
# What a person's next trial takes over from her last one.
SETTINGS = ("critic", "endpoint", "max_new_tokens", "temperature", "seed")
DEFAULTS = {name: TryPrincipleRecipe.model_fields[name].default for name in SETTINGS}


class BadTrial(UserError):
    code = "bad_prompt"


class NoModel(UserError):
    code = "no_model"


class TooManyTrials(Conflict):
    code = "too_many_trials"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who answers; who critiques and judges, where that is another model; and the recipe's `SETTINGS`."""

    model: Given | None
    feedback: Given | None = None
    settings: dict[str, Any] = field(default_factory=DEFAULTS.copy)

    @property
    def inputs(self) -> dict[str, Given]:
        given = {"model": self.model, "feedback": self.feedback if self.settings["critic"] == "model" else None}
        return {name: one for name, one in given.items() if one is not None}


def try_principle(
    version: ConstitutionVersion, wording: Wording, *, beside: Sequence[Wording], prompt: str, asked: Asked, user: User
) -> Run:
    """Starts a trial of `wording`, which stands in `version` or in the form of its draft. No dataset is made for it.

    Examples come before the requests as in a constitutional run: the principle's own, then those of the others `beside` it.
    Raises `BadTrial`, `NoModel`, `TooManyTrials`, and what `start_run` does.
    """
    if asked.model is None:
        raise NoModel(gettext("Choose the model that is to answer."), field="model")
    text = checked_prompt(prompt)
    recipe = {
        "prompt": text, "principle": wording.id, "critique": wording.critique, "revision": wording.revision,
        "comparison": wording.comparison, "examples": list(islice(examples_of(wording, beside), EXAMPLES)), **asked.settings,
    }  # fmt: skip
    recipe["critic_temperature"] = recipe.get("temperature", 1.0)  # one for all that is written
    context = {"version": str(version.pk), "principle": wording.id}
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # of two that are started at once, both are counted
        under_way = Run.objects.filter(
            method=METHOD, created_by=user, state__in=[RunState.QUEUED, RunState.RUNNING]
        ).count()
        if under_way >= MOST_UNDER_WAY:
            told = ngettext(
                "%(num)s trial of yours is under way. Wait for it, or cancel it.",
                "%(num)s trials of yours are under way. Wait for one of them, or cancel it.",
                under_way,
            )
            raise TooManyTrials(told % {"num": under_way})
        return start_run(
            METHOD, recipe=recipe, inputs=asked.inputs, user=user, title=f"A trial of \u201c{wording.id}\u201d",
            priority=Priority.PEOPLE_WAIT, context=context,
        )  # fmt: skip


def checked_prompt(prompt: str) -> str:
    text = tidy(prompt)
    if not 1 <= len(text) <= LONGEST_PROMPT:
        told = gettext("The prompt has 1 to %(most)s characters.") % {"most": whole(LONGEST_PROMPT)}
        raise BadTrial(told, field="prompt")
    if complaint := complaint_about(text):
        raise BadTrial(gettext("There is %(complaint)s in the prompt.") % {"complaint": complaint}, field="prompt")
    return text


def examples_of(wording: Wording, beside: Sequence[Wording]) -> Iterator[dict[str, str]]:
    for example in wording.examples:
        yield texts_of(example)
    for other in beside:
        if other.id != wording.id:
            requests = {"critique_request": other.critique, "revision_request": other.revision}
            yield from ({**texts_of(example), **requests} for example in other.examples)


def texts_of(example: Example) -> dict[str, str]:
    return {name: getattr(example, name) for name in ("prompt", "response", "critique", "revision")}


# What was tried


def trials_of(version: ConstitutionVersion, principle: str) -> QuerySet[Run]:
    return Run.objects.filter(method=METHOD, context__version=str(version.pk), context__principle=principle)


def writers() -> QuerySet[ModelVersion]:
    """Models that can answer, the newest first."""
    return ModelVersion.objects.exclude(role__in=SILENT).order_by("-created_at", "-pk")


def default_model() -> ModelVersion | None:
    """What `sft/current` means, or else the newest model that writes."""
    current = Alias.objects.filter(name=CURRENT).select_related("model__artifact").first()
    return current.model if current is not None else writers().select_related("artifact").first()


def last_asked(user: User) -> Asked:
    """As in her last trial, whichever principle it was of; else the default model, which critiques itself."""
    last = Run.objects.filter(method=METHOD, created_by=user).order_by("-created_at", "-pk").first()
    given = models_of(last) if last is not None else {}
    settings = {name: last.recipe[name] for name in SETTINGS if name in last.recipe} if last is not None else {}
    model, feedback = given.get("model") or default_model(), given.get("feedback")
    return Asked(artifact_of(model), artifact_of(feedback), DEFAULTS | settings)


def artifact_of(model: ModelVersion | None) -> Artifact | None:
    return None if model is None else model.artifact


def models_of(trial: Run) -> dict[str, ModelVersion]:
    """By the name of the input."""
    found = ModelVersion.objects.filter(artifact__used_by__run=trial).select_related("artifact")
    return {model.place: model for model in found.annotate(place=F("artifact__used_by__name"))}
