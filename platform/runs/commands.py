"""What commands that start runs share: waiting for the end, working on the run here, telling how it ended."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand
from accounts.errors import UserError
from registry.models import DatasetVersion, ModelVersion
from runs.models import Run, RunState
from runs.services.work import chain_of, work_queue

LOOK_S = 0.5


class RunFailed(UserError):
    code = "run_failed"


class RunCommand(UserCommand):
    """A command whose `run` ends with `return self.finish(run, **options)`."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wait", action="store_true", help="wait until the run has ended, and tell how")
        parser.add_argument("--here", action="store_true", help="do the work in this process, with no worker around")
        super().add_arguments(parser)

    def finish(self, run: Run, **options: Any) -> dict[str, Any]:
        """What to print about a run; with `--wait` or `--here` at its end. Raises `RunFailed` where it did not succeed."""
        if options["here"]:
            work_queue(among=lambda: chain_of(run))
        if options["here"] or options["wait"]:
            run = self.see_through(run)
        return {"run": str(run.pk), "method": run.method, "state": run.state, **_made_by(run)}

    def see_through(self, run: Run) -> Run:
        shown = ""
        while True:
            run = Run.objects.get(pk=run.pk)
            now = f"{run.state} {run.phase} {run.step}/{run.total} {run.unit}" if run.total else str(run.state)
            if now != shown:
                self.stderr.write(f"{run.title}: {now}")
                shown = now
            if run.has_ended:
                break
            time.sleep(LOOK_S)
        if run.state != RunState.SUCCEEDED:
            sentence = run.failure or "The run was cancelled."
            raise RunFailed(f"{sentence} {run.advice}".strip(), code=run.failure_code or "cancelled", run=str(run.pk))
        return run


def _made_by(run: Run) -> dict[str, Any]:
    if run.state != RunState.SUCCEEDED:
        return {}
    made: dict[str, Any] = {"artifact": str(run.output.artifact_id)}
    for model in ModelVersion.objects.filter(run=run.pk):
        made["model"] = model.name
    for dataset in DatasetVersion.objects.filter(run=run.pk):
        made["dataset"] = dataset.name
    return {**made, "metrics": run.metrics}
