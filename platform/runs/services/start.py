"""Starting a run: its recipe and inputs are checked before anything is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext
from pydantic import ValidationError

from accounts.errors import NotFound, UserError
from accounts.hints import hint
from accounts.models import User
from audit.services import record
from registry.models import Artifact, DatasetVersion, ModelVersion
from registry.services.names import NameTaken, check_slug
from runs.audience import checked_context
from runs.models import EventKind, Priority, Run, RunEvent, RunInput, RunState
from runs.recipe_words import said
from runs.services.doorbell import ring
from runs.services.inputs import BadInput, Given, check_inputs
from training.recipes import RECIPES, Recipe


class BadRecipe(UserError):
    code = "bad_recipe"


class NoReward(UserError):
    code = "no_reward"


def start_run(
    method: str, *, recipe: dict[str, Any], inputs: Mapping[str, Given], user: User | None, title: str = "",
    output_name: str = "", priority: int = Priority.NORMAL, preset: str = "", context: dict[str, Any] | None = None,
    seed: int = 0, is_estimate: bool = False,
) -> Run:  # fmt: skip
    """Queues a run and rings for a worker once the caller's transaction commits.

    `recipe` overrides the fields of `preset`; all of it is stored with its defaults, so that the run can be repeated.
    An input that is a `Run` is its output, once it has succeeded. Raises `NotFound` ("no_method"), `BadRecipe`,
    `BadInput`, `NameTaken`, `NoReward`, and `NoAudience` where a run that asks people is told of none in its `context`.
    For an estimate call `runs.services.estimate`, which knows what can't be estimated and what was before.
    """
    if method not in RECIPES:
        raise NotFound(
            gettext("There is no method called %(method)s; there are %(known)s.")
            % {"method": method, "known": ", ".join(RECIPES)},
            code="no_method",
        )
    checked = check_recipe(method, recipe, preset=preset)
    check_inputs(type(checked), inputs)
    if lack := checked.lacks(inputs):
        raise (NoReward if lack.field == "reward" else BadInput)(said(lack.sentence), field=lack.field)
    fields = checked.model_dump(mode="json")
    context = checked_context(fields, context or {})
    with transaction.atomic():
        if output_name:
            check_name(output_name)
        run = Run.objects.create(
            method=method, title=(title or _title(method, output_name))[:200], recipe=fields,
            preset=preset, seed=seed, priority=priority, output_name=output_name, context=context,
            created_by=user, queued_at=timezone.now(), last_seq=1, is_estimate=is_estimate,
            fingerprint=fingerprint_of(method, fields, inputs, seed=seed),
        )  # fmt: skip
        RunInput.objects.bulk_create(_input(run, name, given) for name, given in inputs.items())
        payload = {"state": str(RunState.QUEUED), "because": "Started.", "attempt": 0}
        RunEvent.objects.create(run=run, seq=1, at=run.queued_at, kind=EventKind.STATE, payload=payload)
        record(
            "run.estimate" if is_estimate else "run.start", actor=user, target=run, method=method, recipe=run.recipe,
            output_name=output_name, inputs={name: str(given.pk) for name, given in inputs.items()},
        )  # fmt: skip
        hint("runs")
        ring()
    return run


def fingerprint_of(method: str, fields: dict[str, Any], inputs: Mapping[str, Given], *, seed: int) -> str:
    """Of what is done to what; empty where an input does not exist yet."""
    artifacts = {name: given if isinstance(given, Artifact) else made_by(given) for name, given in inputs.items()}
    if None in artifacts.values():
        return ""
    told = [method, fields, {name: str(artifact.pk) for name, artifact in artifacts.items() if artifact}, seed]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def made_by(run: Run) -> Artifact | None:
    output = getattr(run, "output", None)
    return output.artifact if output is not None else None


def check_recipe(method: str, fields: dict[str, Any], *, preset: str = "") -> Recipe:
    """The recipe of `method` from a preset and what overrides it. Raises `BadRecipe`, which names field and bound."""
    recipe = RECIPES[method]
    if preset and preset not in recipe.presets:
        raise BadRecipe(
            gettext("%(method)s has no preset called %(preset)s; it has %(known)s.")
            % {"method": method, "preset": preset, "known": ", ".join(recipe.presets)},
            field="preset",
        )
    try:
        return recipe.model_validate({**(recipe.presets[preset] if preset else {}), **fields})
    except ValidationError as error:
        told = [
            {"field": ".".join(map(str, found["loc"])), "message": found["msg"], "given": found["input"]}
            for found in error.errors(include_url=False, include_context=False)
        ]
        first = told[0]
        raise BadRecipe(f"{first['field'] or method}: {first['message']}.", fields=told) from None


def check_name(name: str) -> None:
    """Raises `BadName`, and `NameTaken` where a model, a dataset or a run still under way has this name."""
    check_slug(name)
    under_way = Run.objects.filter(output_name=name, state__in=[RunState.QUEUED, RunState.RUNNING])
    for things in (ModelVersion.objects.filter(name=name), DatasetVersion.objects.filter(name=name), under_way):
        if things.exists():
            raise NameTaken(
                gettext("The name %(name)s is taken. Choose another.") % {"name": name}, field="output_name"
            )


def _title(method: str, output_name: str) -> str:
    return f"{method} \u2192 {output_name}" if output_name else method.replace("_", " ")


def _input(run: Run, name: str, given: Given) -> RunInput:
    if not isinstance(given, Run):
        return RunInput(run=run, name=name, artifact=given)
    # Locked, since a run that ends now hands its output to, or fails, only those that it sees waiting for it.
    upstream = Run.objects.select_for_update().get(pk=given.pk)
    if upstream.state in (RunState.FAILED, RunState.CANCELLED):
        raise BadInput(
            gettext("“%(title)s” has no output: it is %(state)s. Resume it first.")
            % {"title": upstream.title, "state": upstream.state},
            field=name,
        )
    artifact = upstream.output.artifact if upstream.state == RunState.SUCCEEDED else None
    return RunInput(run=run, name=name, after=upstream, artifact=artifact)
