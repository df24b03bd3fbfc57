"""Gradients far outside what a run is used to: their steps are not taken, and after several in a row the run goes back.

Large runs were brought through their spikes by going back to a checkpoint and reading other rows from there on (Chowdhery et
al. 2022, PaLM, arXiv 2204.02311, section 5.1); one bad step is cheaper to leave out. What is usual is the median of the last
50 gradients' norms that were taken, and their robust deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from training.recipes.pretrain import Spikes

WINDOW, FEWEST = 50, 20
LEAST = 3.0  # times the median, however steady the norms have been: the first steps of a run are steady
MOST_RETURNS = 3


@dataclass(slots=True)
class Position:
    """How far a run is, all of it part of a checkpoint: what it does next is a function of this, weights and moments."""

    step: int = 0
    row: int = 0
    """Read so far; ahead of the steps' own where the run went back and left rows out."""
    norms: list[float] = field(default_factory=list)
    left_out: int = 0
    in_a_row: int = 0
    returns: int = 0

    def is_spike(self, norm: float, spikes: Spikes | None) -> bool:
        if spikes is None or len(self.norms) < FEWEST:
            return False
        middle = median(self.norms)
        spread = 1.4826 * median(abs(value - middle) for value in self.norms)
        return norm > max(middle + spikes.deviations * spread, LEAST * middle)

    def taken(self, norm: float) -> None:
        self.norms = [*self.norms[1 - WINDOW :], norm]
        self.in_a_row = 0

    def leave_out(self) -> None:
        self.left_out += 1
        self.in_a_row += 1

    def as_plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}
