"""Which of several processes this one is, and what they find together. (No torch here: most methods work in one process.)"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranks:
    """`rank` of `world` processes. As it stands here it is a run in one; several are `training.mechanics.ranks.Several`."""

    rank: int = 0
    world: int = 1
    is_cut: bool = False
    """Whether weights are cut among processes."""

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def total(self, value: float) -> float:
        """The sum of each one's value, in equal bits everywhere."""
        return value

    def any(self, is_so: bool) -> bool:
        return self.total(float(is_so)) > 0

    def of_first(self, value: float) -> float:
        """What the first one has found."""
        return self.total(value if self.is_first else 0.0)

    def wait(self) -> None:
        """For all others to come here."""
        self.total(0.0)
