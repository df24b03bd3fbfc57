"""The doors of the queue: a ring at which a worker looks for work, and the sweep that beat calls."""

from __future__ import annotations

import multiprocessing
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from runs.services.sweep import sweep as sweep_queue
from runs.services.work import work_queue

# Made before a pool forks: the main process, which gets the SIGTERM of a deploy, tells its children by it.
leaving = multiprocessing.Event()


@shared_task(queue="runs")
def look(**_: Any) -> int:
    """Works on whatever is queued. One ring may find several runs or none; a lost ring is made good by the sweep."""
    return work_queue(must_leave=leaving.is_set)


@shared_task
def sweep(**_: Any) -> dict[str, int]:
    swept = sweep_queue()
    return {"lost": swept.lost, "stranded": swept.stranded, "waiting": swept.waiting}


@worker_shutting_down.connect
def leave(**_: Any) -> None:
    """A run in hand is stopped with a checkpoint and handed back, instead of holding up a deploy for hours."""
    leaving.set()
