"""Progress lines for the terminal: what the database says about the runs, as text."""

from __future__ import annotations

import time
from collections.abc import Iterator

from runs.models import Run, RunState
from runs.words import duration

PERIOD = 1.0  # seconds between looks
QUIET_TIME = 10.0  # seconds between two lines of one run in one phase


def follow() -> Iterator[str]:
    """Yields a line when a run changes its state or phase, and every 10 s while it goes on. Never ends."""
    told: dict[str, tuple[tuple[str, str], float]] = {}
    for run in Run.objects.filter(state__in=[RunState.SUCCEEDED, RunState.CANCELLED]):
        told[str(run.pk)] = ((run.state, run.phase), 0.0)
    while True:
        now = time.monotonic()
        for run in Run.objects.exclude(state=RunState.QUEUED).order_by("started_at", "pk"):
            facts = (run.state, run.phase)
            before, at = told.get(str(run.pk), (("", ""), 0.0))
            goes_on = run.state == RunState.RUNNING and now - at >= QUIET_TIME
            if facts != before or goes_on:
                told[str(run.pk)] = (facts, now)
                yield line(run)
        time.sleep(PERIOD)


def line(run: Run) -> str:
    if run.state == RunState.FAILED:
        return f"{run.title}: failed ({run.failure_code}): {run.failure}"
    if run.state != RunState.RUNNING:
        return f"{run.title}: {run.get_state_display().lower()}"
    if not run.total:
        return f"{run.title}: started"
    share = f"{run.phase} {100 * run.step // run.total:3d} %  ({run.step} of {run.total} {run.unit}"
    eta = f", about {duration(run.eta_s)} left)" if run.eta_s is not None else ")"
    return f"{run.title}: {share}{eta}"
