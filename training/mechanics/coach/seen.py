"""What the coach reads, a run's figures as far as they have come, and what it says: a finding with its cause and what to try."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, pstdev
from typing import Any, Literal

Severity = Literal["note", "warning", "alarm"]
"""note: worth knowing; warning: what comes out is worse than it could be; alarm: it is not worth going on."""

MOST_SAMPLES = 64  # of the last ones, that answers are compared among


@dataclass(frozen=True, slots=True)
class Finding:
    """`template % figures` is the sentence that says what was seen; `cause` and `advice` have no numbers of their own.

    So each of the three can be looked up in a catalog of translations. `since` is the step from which it holds.
    """

    code: str
    template: str
    figures: Mapping[str, float | int | str]
    cause: str
    advice: str
    severity: Severity = "warning"
    since: int = 0

    @property
    def sentence(self) -> str:
        return self.template % self.figures

    def as_payload(self, *, step: int) -> dict[str, Any]:
        """What the event says: a `warning` as any other, with more to it."""
        return {
            "code": self.code, "sentence": self.sentence, "cause": self.cause, "advice": self.advice,
            "severity": self.severity, "since": self.since, "step": step, "template": self.template,
            "figures": dict(self.figures),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """A sample as it was shown."""

    step: int
    prompt: str
    text: str


@dataclass(slots=True)
class Seen:
    """Everything that a run has told. `final` are the metrics of its end, empty until then."""

    method: str
    recipe: Mapping[str, Any]
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    answers: deque[Answer] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    final: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    share_done: float = 0.0  # of the steps that were announced
    is_over: bool = False

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """A resumed run says anew what came after its checkpoint: the later word holds."""
        for name, value in values.items():
            points = self.curves.setdefault(name, [])
            while points and points[-1][0] >= step:
                points.pop()
            points.append((step, float(value)))

    def values(self, name: str) -> list[float]:
        return [value for _, value in self.curves.get(name, ())]

    def last(self, name: str) -> float | None:
        """The figure of the end, or the newest of the curve."""
        value = self.final.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        points = self.curves.get(name)
        return points[-1][1] if points else None

    def since(self, name: str, *, back: int) -> int:
        """The step at which the last `back` points of a curve began."""
        points = self.curves[name]
        return points[max(0, len(points) - back)][0]

    def latest_answers(self) -> list[Answer]:
        """Those of the newest step; all of them where a run samples and does not train, whose steps are no time."""
        if "num_completions" in self.final:
            return list(self.answers)
        return [answer for answer in self.answers if answer.step == self.answers[-1].step] if self.answers else []


@dataclass(frozen=True, slots=True)
class Ends:
    """The first and the last tenth of a curve, five points at least, and how far their means may be apart by chance."""

    first: float
    last: float
    error: float
    width: int


def ends_of(values: Sequence[float], *, least: int) -> Ends | None:
    """None for fewer than `least` points. `error` is the standard error of the difference of the two means."""
    if len(values) < least:
        return None
    width = max(5, len(values) // 10)
    first, last = values[:width], values[-width:]
    error = ((pstdev(first) ** 2 + pstdev(last) ** 2) / width) ** 0.5
    return Ends(fmean(first), fmean(last), error, width)


def quarters_of(values: Sequence[float], *, least: int) -> tuple[float, float, int] | None:
    """Means of the first and the last quarter, and how many points each has; None for fewer than `least` points."""
    if len(values) < least:
        return None
    width = max(1, len(values) // 4)
    return fmean(values[:width]), fmean(values[-width:]), width


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's; 0 where either does not vary."""
    spread = pstdev(one) * pstdev(other)
    if spread < 1e-12:
        return 0.0
    a, b = fmean(one), fmean(other)
    return fmean([(x - a) * (y - b) for x, y in zip(one, other, strict=True)]) / spread


def spread_of(values: Sequence[float]) -> float:
    """A deviation that single spikes don't move: 1.4826 times the median distance to the median."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)
