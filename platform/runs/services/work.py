"""A worker's day: take the best run, see it through, take the next, until there is none or it is asked to go."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable

from runs.models import Run, RunInput
from runs.services.claim import claim_next
from runs.services.supervise import never, supervise
from runs.services.sweep import requeue_the_lost


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def work_queue(*, must_leave: Callable[[], bool] = never, among: Callable[[], list[uuid.UUID]] | None = None) -> int:
    """Works until nothing (of `among`) can be claimed; returns how many runs it has had in hand."""
    requeue_the_lost()
    done = 0
    while not must_leave():
        claim = claim_next(worker=worker_name(), among=among() if among else None)
        if claim is None:
            break
        supervise(claim, must_leave=must_leave)
        done += 1
    return done


def chain_of(run: Run) -> list[uuid.UUID]:
    """A run and everything under way that it waits for, directly or not."""
    found: set[uuid.UUID] = set()
    ahead = {run.pk}
    while ahead:
        found |= ahead
        ahead = set(RunInput.objects.filter(run__in=ahead, after__isnull=False).values_list("after", flat=True)) - found
    return list(found)
