"""A probe of a run: what it has spent so far, and what it owes for the loops that it left early.

A probe is the very method with its own inputs, on the machine that would do the run. Whatever happens once (loading, saving,
publishing) happens. Of a loop the first units warm up, some seconds of the next are timed, and the rest is owed at their
pace: by weight (tokens of a batch) where units are not alike. So the estimate is `now()` at the end: spent and owed.
What is owed counts as if it had been spent, so a loop that holds another that was left early is right by itself.

Nothing here knows torch: FLOPs and tokens are told by `estimate.counting`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WARM_UP = 2  # units of a loop that are not timed: kernels are chosen and memory is taken in them
FEWEST, SECONDS = 3, 3.0  # timed units, and seconds of them, that are enough ...
ENOUGH = 8.0  # ... or so many seconds of units, however few
PATIENCE = 20.0  # seconds in a phase that nothing cuts short, until it is left behind with all that would follow
LEAST_DOUBT = 0.1  # a share of what is owed: another hour of the same machine is no nearer than that


class Probed(Exception):
    """The probe has seen enough of a phase that can't be cut short; what would follow it is not known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds, FLOPs of products, tokens that were learned from, tokens that were read without learning."""

    seconds: float = 0.0
    flops: float = 0.0
    learned: float = 0.0
    read: float = 0.0

    def __add__(self, other: Reading) -> Reading:
        return Reading(
            self.seconds + other.seconds,
            self.flops + other.flops,
            self.learned + other.learned,
            self.read + other.read,
        )

    def __mul__(self, times: float) -> Reading:
        return Reading(self.seconds * times, self.flops * times, self.learned * times, self.read * times)

    def __sub__(self, other: Reading) -> Reading:
        return self + other * -1


@dataclass(frozen=True, slots=True)
class Part:
    """One row of an estimate's table: so many units of a phase, at so many seconds each."""

    phase: str
    unit: str
    total: float
    seconds: float
    """Of all of them."""
    timed: int
    """How many were seen."""


@dataclass(slots=True)
class Probe:
    """`began` is the moment at which the run's time begins, by `time.monotonic()`."""

    began: float = field(default_factory=time.monotonic)
    counted: Reading = Reading()
    owed: Reading = Reading()
    aside: Reading = Reading()
    """Of what was timed on its own (`timed`): no part of the steps around it."""
    costs: dict[str, Reading] = field(default_factory=dict)
    """Of one unit of what was timed on its own, as last seen."""
    times: dict[str, float] = field(default_factory=dict)
    """How many units of it were seen."""
    parts: list[Part] = field(default_factory=list)
    variance: float = 0.0
    """Of the seconds owed."""
    depth: int = 0
    """How many loops and timed parts we are in."""
    left_in: str = ""
    """The phase in which the probe ended, where it did not come to the method's end."""
    has_cut: bool = False
    """From the first loop on: what the run says of its work is no longer what the run itself would say."""
    _phase: tuple[str, float, int] = ("", 0.0, 0)

    # What was spent

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def now(self) -> Reading:
        """Spent and owed."""
        return Reading(self.elapsed) + self.counted + self.owed

    def clock(self) -> Reading:
        """`now` without what was timed on its own."""
        return self.now() - self.aside

    @contextmanager
    def timed(self, what: str, *, units: float = 1) -> Iterator[None]:
        """What comes back at intervals, as an evaluation does; parts of it may be timed on their own again."""
        began = self.clock()
        self.depth += 1
        yield
        self.depth -= 1
        spent = self.clock() - began
        self.aside += spent
        self.costs[what] = spent * (1 / max(units, 1e-9))
        self.times[what] = self.times.get(what, 0) + units

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """What the run itself would not do."""
        began = self.now()
        yield
        self.owed -= self.now() - began

    # What is owed

    def loop(self, phase: str, *, total: float, unit: str) -> Loop:
        self.depth += 1
        self.has_cut = True
        return Loop(self, phase, total, unit, is_inner=self.depth > 1)

    def owe(self, what: str, *, total: float, unit: str = "times") -> None:
        """The rest of `total` units of what was timed on its own, as last seen; nothing where it never was."""
        if what not in self.costs:
            return
        more = self.costs[what] * (total - self.times[what])
        self.owed += more
        self.variance += (LEAST_DOUBT * more.seconds) ** 2
        self.parts.append(Part(what, unit, total, self.costs[what].seconds * total, round(self.times[what])))

    def passed(self, phase: str, step: int, total: int, *, is_paced: bool) -> None:
        """Hears of all progress. Raises `Probed` in a long phase that no loop of the probe's cuts short."""
        now = self.elapsed
        if self._phase[0] != phase:
            self._phase = (phase, now, step)
        _, began, first = self._phase
        if self.depth or not is_paced or now - began < PATIENCE or not first < step < total:
            return
        pace = (now - began) / (step - first)
        self.owed += Reading(pace * (total - step))
        self.parts.append(Part(phase, "", total, pace * total, step - first))
        self.left_in = phase
        raise Probed

    # What comes of it

    def range(self) -> tuple[float, float]:
        """Seconds between which the run should take: two deviations of what is owed, a tenth of all at least."""
        seconds = self.now().seconds
        doubt = max(2 * math.sqrt(self.variance), LEAST_DOUBT * seconds)
        return max(seconds - doubt, 0.0), seconds + doubt


@dataclass(slots=True)
class Loop:
    """Of `total` units (or of that much weight): how long each took that was done."""

    probe: Probe
    phase: str
    total: float
    unit: str
    is_inner: bool = False
    warm_up: int = WARM_UP
    done: list[tuple[float, Reading]] = field(default_factory=list)

    @contextmanager
    def one(self, *, weight: float = 1) -> Iterator[None]:
        began = self.probe.clock()
        yield
        self.add(self.probe.clock() - began, weight=weight)

    def add(self, spent: Reading, *, weight: float = 1) -> None:
        self.done.append((weight, spent))

    @property
    def seen(self) -> list[tuple[float, Reading]]:
        """Without those that warmed up, unless there are no others."""
        return self.done[self.warm_up :] or self.done[-1:]

    def is_enough(self) -> bool:
        warm = self.done[self.warm_up :]
        spent = sum(reading.seconds for _, reading in warm)
        return (len(warm) >= FEWEST and spent >= SECONDS) or sum(r.seconds for _, r in self.done) >= ENOUGH

    @property
    def pace(self) -> Reading:
        """Of a unit of weight."""
        whole = Reading()
        for _, reading in self.seen:
            whole += reading
        return whole * (1 / max(sum(weight for weight, _ in self.seen), 1e-9))

    def leave(self, *, total: float | None = None, units: float | None = None) -> None:
        """Owes what is left of it, and gives back what was done twice; `total` weight where it was not known before.

        `units` are told to people where weight is something else.
        """
        self.probe.depth -= 1
        total = self.total if total is None else total
        if not self.done:
            return
        left = total - sum(weight for weight, _ in self.done)
        self.probe.owed += self.pace * left
        self.probe.variance += (self.error() * left) ** 2
        if not self.is_inner:
            self.probe.parts.append(
                Part(self.phase, self.unit, units or total, self.pace.seconds * total, len(self.seen))
            )

    def error(self) -> float:
        """The standard error of the seconds of a unit of weight; the least doubt where one was seen."""
        pace = self.pace.seconds
        if len(self.seen) < 2:
            return LEAST_DOUBT * pace
        mean = sum(weight for weight, _ in self.seen) / len(self.seen)
        apart = [reading.seconds - pace * weight for weight, reading in self.seen]
        deviation = math.sqrt(sum(gap**2 for gap in apart) / (len(apart) - 1))
        return deviation / math.sqrt(len(apart)) / max(mean, 1e-9)


def spread(count: int) -> list[int]:
    """0 to count - 1, the middle first, then what halves the gaps: any beginning of it stands for the whole.

    >>> spread(5)
    [2, 0, 3, 1, 4]
    """
    found: list[int] = []
    gaps = [(0, count)]
    while gaps:
        after = []
        for low, high in gaps:
            if low < high:
                middle = (low + high) // 2
                found.append(middle)
                after += [(low, middle), (middle + 1, high)]
        gaps = after
    return found
