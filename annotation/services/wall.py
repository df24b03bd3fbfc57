"""What waits, what is on a desk, what is done: the tasks of a campaign in the order in which they are given out."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from annotation.models import Assignment, AssignmentState, Campaign, Slot, TaskKind
from annotation.quality.table import Floats, Ints

MOST_CELLS = 400  # a wall is read at a glance, however many tasks there are
CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Wall:
    """Places (rankings wanted) by state; `cells` are (done, leased, waiting) of `tasks_a_cell` tasks each, first come first."""

    num_tasks: int
    num_done: int
    num_leased: int
    num_waiting: int
    tasks_a_cell: int
    cells: tuple[tuple[int, int, int], ...]


def wall_of(campaign: Campaign) -> Wall:
    """Work alone. Reads one row a place, and keeps a few bytes of each."""
    live = Assignment.objects.filter(slot__campaign=campaign, state=AssignmentState.LIVE)
    leased = set(live.values_list("slot_id", flat=True))
    slots = Slot.objects.filter(campaign=campaign, task__kind=TaskKind.WORK).order_by("order_key", "pk")
    number: dict[object, int] = {}
    task, state = array("q"), array("b")
    for pk, owner, is_free in slots.values_list("pk", "task_id", "is_free").iterator(chunk_size=CHUNK):
        task.append(number.setdefault(owner, len(number)))
        state.append(2 if is_free else 1 if pk in leased else 0)
    return built(np.asarray(task, dtype=np.intp), np.asarray(state, dtype=np.intp), num_tasks=len(number))


def built(task: Ints, state: Ints, *, num_tasks: int) -> Wall:
    size = max(1, -(-num_tasks // MOST_CELLS))
    num_cells = -(-num_tasks // size)
    counts: Floats = np.bincount(task // size * 3 + state, minlength=num_cells * 3).astype(np.float64)
    cells = counts.astype(int).reshape(num_cells, 3).tolist()
    done, leased, waiting = np.bincount(state, minlength=3).tolist()
    return Wall(num_tasks, done, leased, waiting, size, tuple((d, on, w) for d, on, w in cells))
