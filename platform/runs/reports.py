"""The reports that runs leave, read for a page: an evaluation's figures and texts, rewards of sets, a preflight's findings,
a profile's place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
from django.utils.translation import gettext, gettext_noop, ngettext

from accounts.numbers import digits, whole
from registry.models import ArtifactKind, DatasetVersion
from runs.estimates import Estimate, estimate_of
from runs.models import Run, RunState
from runs.preflight import Preflight, preflight_of

ROWS_SHOWN = 12
LABELS = {
    "reward": gettext_noop("Reward (normalised score)"),
    "utility": gettext_noop("Stated utility"),
    "length": gettext_noop("Length, tokens"),
    "ended": gettext_noop("Share that ended by itself"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean of the reference and of the policy, and their difference with its 95 % interval over prompts."""

    label: str
    reference: float
    policy: float
    difference: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """The interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class ReportRow:
    prompt: str
    reference_text: str
    policy_text: str
    reference_score: float | None
    policy_score: float | None


@dataclass(frozen=True, slots=True)
class Report:
    figures: tuple[Figure, ...]
    rows: tuple[ReportRow, ...]
    stats: tuple[tuple[str, str, str], ...]  # (label, value, interval and n)
    caption: str
    template: str = "runs/report.html"


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """The profile itself stands on the page of its dataset."""

    datasets: tuple[DatasetVersion, ...]
    template: str = "runs/profile_report.html"


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What a reward model gives sets of completions, on average."""

    stats: tuple[tuple[str, str, str], ...]  # (set, mean, interval and n)
    template: str = "runs/score_report.html"


def report_of(run: Run) -> Report | ProfileReport | ScoreReport | Preflight | Estimate | None:
    """None for a run that made no report, one of many models (`runs.measures`), or judgements.

    Each is shown by its own `template`.
    """
    if not has_report(run):
        return None
    if run.is_estimate:
        return estimate_of(run)
    if run.method in ("measure", "judge"):
        return None
    if run.method == "preflight":
        return preflight_of(run)
    if run.method == "profile":
        return ProfileReport(tuple(DatasetVersion.objects.filter(artifact__used_by__run=run)))
    if run.method == "score":
        return ScoreReport(tuple(rewards_of(run)))
    metrics, folder = run.metrics, run.output.artifact.folder
    return Report(figures_of(metrics), read_rows(folder / "rows.parquet"), stats_of(metrics), caption_of(metrics))


def has_report(run: Run) -> bool:
    output = getattr(run, "output", None)
    return run.state == RunState.SUCCEEDED and output is not None and output.artifact.kind == ArtifactKind.REPORT


def figures_of(metrics: dict[str, Any]) -> tuple[Figure, ...]:
    found = []
    for key, label in LABELS.items():
        names = [f"{key}_{part}" for part in ("reference", "policy", "difference", "difference_low", "difference_high")]
        if all(isinstance(metrics.get(name), int | float) for name in names):
            found.append(Figure(gettext(label), *(float(metrics[name]) for name in names)))
    return tuple(found)


def stats_of(metrics: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """What has no value of the reference's own: how often the policy wins, and how far it went."""
    found = []
    if isinstance(rate := metrics.get("win_rate"), int | float):
        note = interval(metrics, "win_rate", form=".0%")
        found.append((gettext("Win rate over the reference"), digits(rate, form=".0%"), note))
    if isinstance(kl := metrics.get("kl"), int | float):
        note = interval(metrics, "kl", form=".2f")
        found.append((gettext("KL to the reference, nats a completion"), digits(kl, form=".2f"), note))
    return tuple(found)


def rewards_of(run: Run) -> Iterator[tuple[str, str, str]]:
    told = json.loads((run.output.artifact.folder / "report.json").read_text())
    for one in told["sets"]:
        key = one["input"]
        own = {name.removeprefix(f"{key}_"): value for name, value in run.metrics.items() if name.startswith(f"{key}_")}
        if isinstance(reward := own.get("reward"), int | float):
            yield one["title"], digits(reward, form=".2f"), interval(own, "reward", form=".2f")


def interval(metrics: dict[str, Any], name: str, *, form: str) -> str:
    """The interval, where there is one, and over how many prompts it was measured."""
    num = metrics.get("num_prompts", 0)
    n = ngettext("n = %(num)s prompts", "n = %(num)s prompts", num) % {"num": whole(num)}
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return n
    ends = {"low": digits(low, form=form), "high": digits(high, form=form)}
    return gettext("95 %%: %(low)s to %(high)s, %(n)s") % {**ends, "n": n}


def caption_of(metrics: dict[str, Any]) -> str:
    num = metrics.get("num_prompts", 0)
    caption = ngettext(
        "%(num)s held-out prompts; intervals by bootstrap over prompts.",
        "%(num)s held-out prompts; intervals by bootstrap over prompts.",
        num,
    )
    return caption % {"num": whole(num)}


def read_rows(path: Any) -> tuple[ReportRow, ...]:
    """The first rows, one a prompt, by which a person sees what changed."""
    seen: dict[str, ReportRow] = {}
    for row in pq.read_table(path).to_pylist():
        if row["prompt_id"] in seen:
            continue
        seen[row["prompt_id"]] = ReportRow(
            row["prompt"],
            row["reference_text"],
            row["policy_text"],
            row.get("reference_reward"),
            row.get("policy_reward"),
        )
        if len(seen) == ROWS_SHOWN:
            break
    return tuple(seen.values())
