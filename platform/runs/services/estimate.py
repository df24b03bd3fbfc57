"""Asking what a run would cost, and starting the run that was asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_noop

from accounts.errors import Conflict, UserError
from accounts.models import User
from runs.audience import is_asking
from runs.models import Priority, Run, RunState
from runs.recipe_words import said
from runs.services.inputs import Given
from runs.services.start import check_name, check_recipe, fingerprint_of, start_run
from training.recipes import RECIPES

# `Recipe.no_estimate` of those that have one, which can't mark their own words.
REASONS = (
    gettext_noop("An endpoint's pace and price are its own: asking it costs what is to be found out."),
    gettext_noop("An import has no part that could stand for the whole; it takes seconds or minutes."),
    gettext_noop("A trial is a few texts long: an estimate would take as long."),
)


class NoEstimate(UserError):
    code = "no_estimate"


class NotEstimated(Conflict):
    code = "not_estimated"


def ask_estimate(
    method: str, *, recipe: dict[str, Any], inputs: Mapping[str, Given], user: User | None, title: str = "",
    output_name: str = "", preset: str = "", seed: int = 0, anew: bool = False,
) -> Run:  # fmt: skip
    """The probe of a run: the newest of the same recipe, inputs and seed that is done or under way, or a fresh one.

    `title` and `output_name` are kept for the run itself. Raises `NoEstimate`, and what `start_run` raises.
    """
    if method in RECIPES:
        fields = check_recipe(method, recipe, preset=preset).model_dump(mode="json")
        refuse(method, fields, inputs)
        if output_name:
            check_name(output_name)
        if not anew and (known := known_estimate(fingerprint_of(method, fields, inputs, seed=seed))) is not None:
            return known
    return start_run(
        method, recipe=recipe, inputs=inputs, user=user, preset=preset, seed=seed, priority=Priority.PEOPLE_WAIT,
        title=gettext("Estimate of %(run)s") % {"run": title or output_name or method.replace("_", " ")},
        context={"title": title, "output_name": output_name}, is_estimate=True,
    )  # fmt: skip


def refuse(method: str, fields: dict[str, Any], inputs: Mapping[str, Given]) -> None:
    if why := RECIPES[method].no_estimate:
        raise NoEstimate(said(why))
    if (fields.get("parallel") or {}).get("processes", 1) > 1:
        raise NoEstimate(
            gettext("A run in several processes can't be probed. Estimate the same recipe with one process.")
        )
    if is_asking(fields):
        raise NoEstimate(gettext("People rank what this run writes: how long they take can't be probed."))
    if any(isinstance(given, Run) and given.state != RunState.SUCCEEDED for given in inputs.values()):
        raise NoEstimate(
            gettext("An input does not exist yet, so nothing can be tried on it. Estimate it once it is there.")
        )


def known_estimate(fingerprint: str) -> Run | None:
    """The newest estimate that is done, or under way."""
    if not fingerprint:
        return None
    estimates = Run.objects.filter(fingerprint=fingerprint, is_estimate=True)
    alive = estimates.exclude(state__in=[RunState.FAILED, RunState.CANCELLED])
    return alive.order_by("-created_at", "-pk").first()


def start_estimated(estimate: Run, *, user: User | None) -> Run:
    """The run itself. Raises `NotEstimated` for a run that is no estimate, and what `start_run` raises."""
    return start_run(estimate.method, **told(estimate), user=user)


def estimate_anew(estimate: Run, *, user: User | None) -> Run:
    """Another probe of the same. Raises as `start_estimated` does."""
    return ask_estimate(estimate.method, **told(estimate), user=user, anew=True)


def told(estimate: Run) -> dict[str, Any]:
    """What was asked about, as `start_run` takes it."""
    if not estimate.is_estimate:
        raise NotEstimated(gettext("This run is no estimate."))
    given = estimate.inputs.select_related("artifact")
    return {
        "recipe": estimate.recipe, "preset": estimate.preset, "seed": estimate.seed,
        "inputs": {entry.name: entry.artifact for entry in given if entry.artifact is not None},
        **{name: str(estimate.context.get(name, "")) for name in ("title", "output_name")},
    }  # fmt: skip
