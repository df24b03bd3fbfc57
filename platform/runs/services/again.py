"""A finished run once more, with one thing of its recipe changed."""

from __future__ import annotations

from django.utils.translation import gettext

from accounts.errors import UserError
from accounts.models import User
from runs.models import Run, RunState
from runs.services.inputs import Given
from runs.services.start import start_run

SUFFIX = "-no-length"  # of the name of what the second run makes


def can_lose_length(run: Run) -> bool:
    """A reward model that was trained and whose scores still hold what they rise by with the length of an answer."""
    is_done = run.method == "reward" and run.state == RunState.SUCCEEDED and not run.is_estimate
    return is_done and not run.recipe.get("debias_length", False)


def without_length(run: Run, *, user: User) -> Run:
    """Queues the same training, inputs and seed, with the length taken out of scores.

    Raises `UserError` ("no_refit") for a run of which that makes no sense, and what `start_run` raises.
    """
    if not can_lose_length(run):
        raise UserError(
            gettext("Only a finished reward model whose scores hold the length of answers can be trained without it."),
            code="no_refit",
        )
    inputs: dict[str, Given] = {}
    for entry in run.inputs.select_related("artifact", "after__output__artifact"):
        if entry.artifact is not None:
            inputs[entry.name] = entry.artifact
        elif entry.after is not None:
            inputs[entry.name] = entry.after
    return start_run(
        "reward", recipe={**run.recipe, "debias_length": True}, inputs=inputs, user=user, preset=run.preset, seed=run.seed,
        priority=run.priority, title=gettext("%(run)s, without length") % {"run": run.title},
        output_name=f"{run.output_name}{SUFFIX}" if run.output_name else "",
    )  # fmt: skip
