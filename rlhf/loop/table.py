"""What a headless loop comes to: one table of steps and one of outcomes, as facts and as text."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Count, Max, Min

from annotation.models import Ranking
from registry.models import DatasetVersion, ModelVersion
from rlhf.loop.scale import Scale
from rlhf.loop.steps import CONTROLS
from rlhf.models import Round, Stage
from runs.models import Run, RunState

EVALUATIONS = {Stage.EVALUATE_DPO: "DPO", Stage.EVALUATE_PPO: "PPO"}
ENOUGH_SD = 0.5  # of the SFT model's samples: what a policy must gain in the stated utility
MOST_KL = 10.0  # nats a completion


@dataclass(frozen=True, slots=True)
class Row:
    """One step: what was done, how much of it, and the seconds from its first start to its end."""

    name: str
    size: str
    seconds: float


def facts(rounds: dict[str, Round], *, scale: Scale, seconds: float) -> dict[str, Any]:
    """All of it read from the database, so that a loop which was stopped and went on tells the same."""
    return {
        "scale": scale.name,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "seconds": round(seconds, 1),
        "steps": [asdict(row) for row in rows()],
        "policies": [
            policy_facts(kind, EVALUATIONS[Stage(entry.stage)], entry.run)
            for kind, turn in rounds.items()
            for entry in turn.stages.select_related("run").order_by("pk")
            if entry.stage in EVALUATIONS
        ],
    }


def rows() -> list[Row]:
    """The runs in the order in which they ended, and the rankings after the completions that they rank."""
    found = []
    for run in Run.objects.filter(state=RunState.SUCCEEDED).order_by("finished_at", "pk"):
        assert run.finished_at is not None and run.started_at is not None
        found.append(Row(run.title, size_of(run), round((run.finished_at - run.started_at).total_seconds(), 1)))
        if run.method == "generate":
            found.append(rankings_row())
    return found


def rankings_row() -> Row:
    told = Ranking.objects.filter(is_live=True).aggregate(
        n=Count("pk"), first=Min("created_at"), last=Max("created_at")
    )
    seconds = (told["last"] - told["first"]).total_seconds() if told["n"] else 0.0
    raters = Ranking.objects.filter(is_live=True).values("rater").distinct().count()
    return Row("Rankings by simulated raters", f"{told['n']:,} by {raters} raters", round(seconds, 1))


def size_of(run: Run) -> str:
    model = ModelVersion.objects.filter(run=run.pk).first()
    if model is not None:
        return f"{model.num_parameters / 1e6:.2f} M parameters" + (", adapter" if model.is_adapter else "")
    dataset = DatasetVersion.objects.filter(run=run.pk).first()
    if dataset is not None:
        return f"{dataset.num_rows:,} rows"
    sizes = {"evaluate": ("num_prompts", "prompts"), "tokenizer": ("vocab_size", "tokens")}
    name, unit = sizes.get(run.method, ("", ""))
    return f"{run.metrics[name]:,} {unit}" if name in run.metrics else ""


def policy_facts(kind: str, method: str, run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    told: dict[str, Any] = {"rankings": kind, "method": method, **run.metrics}
    gain, kl = told.get("utility_gain_sd"), told.get("kl")
    if gain is not None and kl is not None:
        told["is_better"] = gain >= ENOUGH_SD and kl < MOST_KL and told["utility_difference_low"] > 0
    return told


def text(told: dict[str, Any]) -> str:
    lines = [
        f"Loop at scale {told['scale']}: {told['seconds']:.0f} s this time, on {told['machine']}",
        "",
        f"{'step':<58} {'size':<34} {'seconds':>8}",
        *(f"{row['name']:<58.58} {row['size']:<34.34} {row['seconds']:>8.1f}" for row in told["steps"]),
        "",
        f"{'rankings, method':<20} {'utility before':>14} {'after':>7} {'difference, 95 %':>24} {'gain, SD':>9}"
        f" {'KL, nats':>9} {'reward':>16} {'tokens':>14}",
    ]
    for policy in told["policies"]:
        lines.append(
            f"{policy['rankings'] + ', ' + policy['method']:<20} {number(policy, 'utility_reference'):>14}"
            f" {number(policy, 'utility_policy'):>7} {interval(policy, 'utility'):>24} {number(policy, 'utility_gain_sd'):>9}"
            f" {number(policy, 'kl'):>9} {arrow(policy, 'reward'):>16} {arrow(policy, 'length'):>14}"
        )
    return "\n".join(lines + controls(told["policies"]))


def controls(policies: list[dict[str, Any]]) -> list[str]:
    """A line a method: what the two controls gain on average. The luck of their lot is in it once with each sign."""
    means = []
    for method in EVALUATIONS.values():
        gains = [
            policy["utility_gain_sd"]
            for policy in policies
            if policy["method"] == method and policy["rankings"] in CONTROLS and "utility_gain_sd" in policy
        ]
        if len(gains) == len(CONTROLS):
            means.append(f"{'both controls, ' + method:<20} {sum(gains) / len(gains):.2f} SD on average")
    return ["", *means] if means else []


def number(policy: dict[str, Any], name: str) -> str:
    value = policy.get(name)
    return "–" if value is None else f"{value:.2f}"


def interval(policy: dict[str, Any], key: str) -> str:
    low, high = number(policy, f"{key}_difference_low"), number(policy, f"{key}_difference_high")
    return f"{number(policy, f'{key}_difference')} ({low} to {high})"


def arrow(policy: dict[str, Any], key: str) -> str:
    return f"{number(policy, f'{key}_reference')} → {number(policy, f'{key}_policy')}"
