"""What a headless loop comes to: one table of steps and one of outcomes, as facts and as text."""

from __future__ import annotations

import os
import platform
from typing import Any

from rlhf.loop.scale import Scale
from rlhf.loop.steps import Outcome
from rlhf.models import Stage
from runs.models import Run

EVALUATIONS = {Stage.EVALUATE_DPO: "DPO", Stage.EVALUATE_PPO: "PPO"}
ENOUGH_SD = 0.5  # of the SFT model's samples: what a policy must gain in the stated utility
MOST_KL = 10.0  # nats a completion


def facts(outcome: Outcome, *, scale: Scale, seconds: float) -> dict[str, Any]:
    return {
        "scale": scale.name,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "seconds": round(seconds, 1),
        "steps": [{"name": row.name, "size": row.size, "seconds": round(row.seconds, 1)} for row in outcome.rows],
        "policies": [
            policy_facts(kind, EVALUATIONS[Stage(entry.stage)], entry.run)
            for kind, turn in outcome.rounds.items()
            for entry in turn.stages.select_related("run").order_by("pk")
            if entry.stage in EVALUATIONS
        ],
    }


def policy_facts(kind: str, method: str, run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    told: dict[str, Any] = {"rankings": kind, "method": method, **run.metrics}
    gain, kl = told.get("utility_gain_sd"), told.get("kl")
    if gain is not None and kl is not None:
        told["is_better"] = gain >= ENOUGH_SD and kl < MOST_KL and told["utility_difference_low"] > 0
    return told


def text(told: dict[str, Any]) -> str:
    lines = [
        f"Loop at scale {told['scale']}: {told['seconds']:.0f} s on {told['machine']}",
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
    return "\n".join(lines)


def number(policy: dict[str, Any], name: str) -> str:
    value = policy.get(name)
    return "–" if value is None else f"{value:.2f}"


def interval(policy: dict[str, Any], key: str) -> str:
    low, high = number(policy, f"{key}_difference_low"), number(policy, f"{key}_difference_high")
    return f"{number(policy, f'{key}_difference')} ({low} to {high})"


def arrow(policy: dict[str, Any], key: str) -> str:
    return f"{number(policy, f'{key}_reference')} → {number(policy, f'{key}_policy')}"
