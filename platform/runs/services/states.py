"""The one way in which a run's state changes: a conditional UPDATE, an event, a hint, and the end of what waited for it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.hints import hint
from runs.models import ENDED, TRANSITIONS, EventKind, Run, RunEvent, RunState

UPSTREAM_FAILED = "upstream_failed"


def change_state(runs: QuerySet[Run], run_id: uuid.UUID, *, to: RunState, because: str, **fields: Any) -> Run | None:
    """Moves one run of `runs` to `to`, if the row still is in `runs` and in a state from which that is allowed.

    `runs` carries the caller's condition (its fence, a dead lease). None: somebody else was first, nothing changed.
    A run that fails or is cancelled takes along, in the same transaction, the queued runs that waited for its output.
    """
    allowed = [state for state, following in TRANSITIONS.items() if to in following]
    if to in ENDED:
        fields |= {"finished_at": timezone.now(), "lease_until": None, "worker": "", "eta_s": None, "rate": None}
    with transaction.atomic():
        matching = runs.filter(pk=run_id, state__in=allowed)
        if not matching.update(state=to, last_seq=F("last_seq") + 1, **fields):
            return None
        run = Run.objects.get(pk=run_id)
        payload = {"state": str(to), "because": because, "attempt": run.attempt}
        RunEvent.objects.create(run=run, seq=run.last_seq, at=timezone.now(), kind=EventKind.STATE, payload=payload)
        hint(f"run:{run.pk}")
        hint("runs")
        if to in (RunState.FAILED, RunState.CANCELLED):
            fail_what_waits_for(run)
    return run


def fail_what_waits_for(run: Run) -> int:
    """Fails the queued runs that need the output of `run`, and in turn what needs theirs; returns how many."""
    waiting = Run.objects.filter(state=RunState.QUEUED, inputs__after=run).distinct()
    failed = 0
    for run_id in list(waiting.values_list("pk", flat=True)):
        sentence = f"It waits for the output of \u201c{run.title}\u201d, which has {run.state}."
        if run.state == RunState.CANCELLED:
            sentence = f"It waits for the output of \u201c{run.title}\u201d, which was cancelled."
        failed += fail(Run.objects.all(), run_id, code=UPSTREAM_FAILED, sentence=sentence,
                       advice="Resume that run first, then this one.") is not None  # fmt: skip
    return failed


def fail(runs: QuerySet[Run], run_id: uuid.UUID, *, code: str, sentence: str, advice: str = "") -> Run | None:
    """Ends a run as failed, with a code for programs and a sentence and advice for a person."""
    return change_state(
        runs, run_id, to=RunState.FAILED, because=sentence[:1000],
        failure_code=code[:64], failure=sentence[:1000], advice=advice[:1000],
    )  # fmt: skip
