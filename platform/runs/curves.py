"""A run's numbers as charts: which belong together, which come first, and how a long curve is thinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext, gettext_noop

from runs.models import EventKind, Run, RunEvent

MOST_POINTS = 600  # of a curve on a page; more can't be told apart on a screen

ON_REWARDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (gettext_noop("Reward"), ("reward", "score")),
    (gettext_noop("KL to the reference, nats a completion"), ("kl", "target_kl")),
)

# The two charts that matter most for a method, by the names of their metrics; all others are drawn small below.
FIRST: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "pretrain": (
        (gettext_noop("Bits per byte"), ("bits_per_byte", "eval_bits_per_byte")),
        (gettext_noop("Loss, nats a token"), ("loss", "eval_loss")),
    ),
    "sft": (
        (gettext_noop("Loss, nats a token"), ("loss", "eval_loss")),
        (gettext_noop("Bits per byte"), ("eval_bits_per_byte",)),
    ),
    "reward": (
        (gettext_noop("Accuracy on comparisons"), ("accuracy", "eval_accuracy")),
        (gettext_noop("Loss"), ("loss", "eval_loss")),
    ),
    "dpo": (
        (gettext_noop("Reward margin, nats"), ("rewards/margins", "eval_rewards/margins", "eval_margins")),
        (gettext_noop("Accuracy"), ("rewards/accuracies", "eval_rewards/accuracies", "eval_accuracy")),
    ),
    "kto": (
        (gettext_noop("Reward"), ("rewards/desirable", "rewards/undesirable")),
        (gettext_noop("Accuracy"), ("eval_accuracy",)),
    ),
    "constitutional": (
        (gettext_noop("Harmful sentences, share of a text, by round"), ("harmfulness",)),
        (gettext_noop("Score by round"), ("score",)),
        (gettext_noop("What became of a round's revisions, shares"), ("lost", "leaked", "unchanged", "kept")),
    ),
    "ppo": ON_REWARDS,
    "rloo": ON_REWARDS,
    "grpo": ON_REWARDS,
    "online_dpo": ON_REWARDS,
}

COUNTS = {"n", "eval_n"}
OF_MODELS = {"measure"}  # methods whose steps are models: they stand side by side in a table (`runs.measures`)


@dataclass(slots=True)
class Curve:
    name: str
    points: list[tuple[float, float]] = field(default_factory=list)
    label: str = ""  # whose it is, where several runs lie on each other
    low: list[tuple[float, float]] = field(default_factory=list)  # the ends of its interval, drawn as a band
    high: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    curves: tuple[Curve, ...]
    is_first: bool


def charts_of(run: Run) -> list[Chart]:
    """Every metric that `run` measured more than once, in one chart each; those of `FIRST` lead.

    Held-out curves lie on their trained ones.
    """
    curves = curves_of(run)
    left = dict(curves)
    charts = []
    for title, names in FIRST.get(run.method, ()):
        found = tuple(left.pop(name) for name in names if name in left)
        if found:
            charts.append(Chart(gettext(title), found, is_first=True))
    while left:
        name = next(iter(left)).removeprefix("eval_")
        together = tuple(left.pop(key) for key in (name, f"eval_{name}") if key in left)
        charts.append(Chart(name.replace("_", " "), together, is_first=False))
    return [chart for chart in charts if any(len(curve.points) > 1 for curve in chart.curves)]


def charts_together(runs: Sequence[Run], *, labels: Sequence[str]) -> list[Chart]:
    """One chart a metric that at least two of `runs` measured, a curve a run; those that matter most for them lead."""
    found = [(label, curves_of(run)) for run, label in zip(runs, labels, strict=False)]
    first = {name for run in runs for _, names in FIRST.get(run.method, ()) for name in names}
    metrics = list(dict.fromkeys(name for _, curves in found for name in curves))
    shared = [name for name in metrics if sum(name in curves for _, curves in found) > 1 or len(runs) == 1]
    shared.sort(key=lambda name: name not in first)
    return [
        Chart(
            words(name),
            tuple(Curve(name, curves[name].points, label=label) for label, curves in found if name in curves),
            is_first=name in first,
        )
        for name in shared
    ]


def words(name: str) -> str:
    """`eval_bits_per_byte` -> "bits per byte, held out"."""
    plain = name.removeprefix("eval_").replace("_", " ")
    return gettext("%(metric)s, held out") % {"metric": plain} if name.startswith("eval_") else plain


def as_json(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """`[{"title", "is_first", "series": [{"name", "points": [[x, y]]}]}]`; a series that has a label of its own says it."""
    return [
        {
            "title": chart.title,
            "is_first": chart.is_first,
            "series": [
                {"name": curve.name, "points": curve.points}
                | ({"label": curve.label} if curve.label else {})
                | ({"low": curve.low, "high": curve.high} if curve.low and curve.high else {})
                for curve in chart.curves
            ],
        }
        for chart in charts
    ]


def curves_of(run: Run) -> dict[str, Curve]:
    if run.method in OF_MODELS:
        return {}
    rows = RunEvent.objects.filter(run=run, kind=EventKind.METRIC).order_by("seq").values_list("payload", flat=True)
    curves: dict[str, Curve] = {}
    for payload in rows.iterator():
        for name, value in payload["values"].items():
            points = curves.setdefault(name, Curve(name)).points
            # A resumed run says anew what came after its checkpoint: the later word holds.
            while points and points[-1][0] >= payload["step"]:
                points.pop()
            points.append((payload["step"], value))
    for curve in curves.values():
        curve.points = thinned(curve.points)
    return banded(curves)


def banded(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Bounds go to the curve that they bound: `x_low` and `x_high` to `x`. How many rows were measured is no curve."""
    ends = {f"{name}_{end}" for name in curves for end in ("low", "high")}
    for name, curve in curves.items():
        low, high = curves.get(f"{name}_low"), curves.get(f"{name}_high")
        if low and high:
            curve.low, curve.high = low.points, high.points
    return {name: curve for name, curve in curves.items() if name not in ends | COUNTS}


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most about `MOST_POINTS`: the lowest and highest of every stretch, so that no spike is lost."""
    if len(points) <= MOST_POINTS:
        return list(points)
    width = 2 * len(points) // MOST_POINTS + 1
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), width):
        stretch = points[start : start + width]
        low, high = (pick(stretch, key=lambda point: point[1]) for pick in (min, max))
        kept += sorted({low, high})
    return kept
