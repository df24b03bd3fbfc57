"""What keeps the queue honest: runs whose worker is gone go back into it, and what waits for nothing is ended."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Now

from runs.models import Run, RunState
from runs.services.claim import claimable, requeue
from runs.services.doorbell import ring
from runs.services.states import fail_what_waits_for


@dataclass(frozen=True, slots=True)
class Swept:
    lost: int  # runs taken from a worker whose lease was over
    stranded: int  # runs that waited for one that failed or was cancelled
    waiting: int  # runs that a worker could take now


def sweep() -> Swept:
    """Safe to run anywhere, at any time, several times at once: every change is conditional."""
    lost = requeue_the_lost()
    ended = Run.objects.filter(state__in=[RunState.FAILED, RunState.CANCELLED])
    stranded = sum(fail_what_waits_for(run) for run in ended.filter(needed_by__run__state=RunState.QUEUED).distinct())
    waiting = claimable().count()
    if waiting:
        ring()  # the ring of the start may have been lost between the commit and the broker
    return Swept(lost, stranded, waiting)


def requeue_the_lost() -> int:
    """Takes back every run whose lease is over by the database's clock; returns how many."""
    dead = Run.objects.filter(Q(lease_until__lt=Now()), state=RunState.RUNNING)
    lost = 0
    for run in list(dead):
        because = f"{run.worker} was lost: its lease was over."
        # The fence too: between the look and the update, another may have taken the run and lost it.
        lost += requeue(dead.filter(fence=run.fence), run.pk, because=because) is not None
    return lost
