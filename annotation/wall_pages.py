"""The wall of a campaign as it is drawn: a square for some tasks, filled from below by what is done and what is leased."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

INSET, SIDE = 0.06, 0.88  # of a square


@dataclass(frozen=True, slots=True)
class Cell:
    """A square of the wall; `done` and `leased` are heights, in parts of 1, from below."""

    x: int
    y: int
    done: float
    leased: float

    @property
    def done_height(self) -> float:
        return round(SIDE * self.done, 3)

    @property
    def done_y(self) -> float:
        return round(INSET + SIDE - self.done_height, 3)

    @property
    def leased_height(self) -> float:
        return round(SIDE * self.leased, 3)

    @property
    def leased_y(self) -> float:
        return round(self.done_y - self.leased_height, 3)


@dataclass(frozen=True, slots=True)
class WallPage:
    width: int
    height: int
    cells: tuple[Cell, ...]
    num_tasks: int
    tasks_a_cell: int
    states: tuple[tuple[str, str, int, float], ...]  # key, words, places, percent


def wall_page(wall: dict[str, Any]) -> WallPage:
    """Squares in rows of a width that suits a page, first come first."""
    cells = wall["cells"]
    columns = min(40, max(10, math.ceil(math.sqrt(len(cells) * 4)))) if cells else 1
    squares = []
    for at, (done, leased, waiting) in enumerate(cells):
        total = max(1, done + leased + waiting)
        squares.append(Cell(at % columns, at // columns, round(done / total, 3), round(leased / total, 3)))
    places = max(1, wall["num_done"] + wall["num_leased"] + wall["num_waiting"])
    return WallPage(
        width=columns, height=max(1, -(-len(cells) // columns)), cells=tuple(squares), num_tasks=wall["num_tasks"],
        tasks_a_cell=wall["tasks_a_cell"],
        states=tuple(
            (key, words, wall[f"num_{key}"], round(100 * wall[f"num_{key}"] / places, 2))
            for key, words in (
                ("done", gettext("ranked")), ("leased", gettext("on a desk")), ("waiting", gettext("waiting")),
            )
        ),
    )  # fmt: skip
