"""What a run was estimated to cost and what it took, read for pages and terminals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext, gettext_noop

from accounts.numbers import digits, whole
from registry.services.profiles import read_object
from runs.models import Run, RunState
from runs.words import duration

REPORT = "estimate.json"
GIB = 2**30
PARTS = {
    "reading": gettext_noop("reading texts"),
    "training": gettext_noop("training"),
    "rollouts": gettext_noop("rollouts and their passes"),
    "evaluation": gettext_noop("evaluations"),
    "figures": gettext_noop("figures of evaluations"),
    "samples": gettext_noop("samples for people to read"),
    "checkpoints": gettext_noop("checkpoints"),
    "reference": gettext_noop("reference"),
    "scale": gettext_noop("scale"),
    "probes": gettext_noop("probes of the reward model"),
    "sampling": gettext_noop("sampling"),
    "policy answers": gettext_noop("answers of the policy"),
    "reference answers": gettext_noop("answers of the reference"),
    "policy likelihoods": gettext_noop("likelihoods by the policy"),
    "reference likelihoods": gettext_noop("likelihoods by the reference"),
    "policy rewards": gettext_noop("rewards of the policy"),
    "reference rewards": gettext_noop("rewards of the reference"),
    "once": gettext_noop("once: loading, preparing, publishing"),
}
UNITS = (gettext_noop("tokens"), gettext_noop("rollouts"), gettext_noop("times"), gettext_noop("rows"))


@dataclass(frozen=True, slots=True)
class PartRow:
    label: str
    units: str
    each: str
    whole: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """`stats` are (label, value, note), as a page shows figures."""

    stats: tuple[tuple[str, str, str], ...]
    parts: tuple[PartRow, ...]
    machine: str
    probe: str
    left_in: str
    template: str = "runs/estimate.html"


@dataclass(frozen=True, slots=True)
class Beside:
    """What an estimate said of a run, beside what the run took."""

    estimate: Run
    rows: tuple[tuple[str, str, str, str], ...]  # label, estimated, real, difference


def estimate_of(run: Run) -> Estimate | None:
    told = read_object(run.output.artifact.folder / REPORT)
    if told is None:
        return None
    return Estimate(
        stats=stats_of(told), parts=tuple(map(part_row, told["parts"])), machine=machine_of(told["machine"]),
        probe=duration(told["probe_seconds"]), left_in=told.get("left_in", ""),
    )  # fmt: skip


def stats_of(told: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    seconds = told["seconds"]
    span = gettext("%(low)s to %(high)s") % {
        "low": duration(told["seconds_low"]),
        "high": duration(told["seconds_high"]),
    }
    found = [(gettext("Time"), duration(seconds), span)]
    found += memory_of(told)
    if told["flops"]:
        rate = gettext("%(rate)s GFLOP/s") % {"rate": digits(told["flops"] / max(seconds, 1e-9) / 1e9, form=".3g")}
        found.append((gettext("FLOPs"), digits(told["flops"], form=".2e"), rate))
        tokens = told["tokens_learned"] + told["tokens_read"]
        note = gettext("%(learned)s of them learned from") % {"learned": whole(told["tokens_learned"])}
        found.append((gettext("Tokens, padding too"), whole(tokens), note))
    price, note = cost_of(seconds)
    found.append((gettext("Price"), price, note))
    return tuple(found)


def memory_of(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    machine = told["machine"]
    found = [(gettext("Memory at its peak"), gib(told["memory"]), of_all(machine["memory"]))]
    if told.get("gpu_memory"):
        found.append((gettext("GPU memory at its peak"), gib(told["gpu_memory"]), of_all(machine["gpu_memory"])))
    return found


def cost_of(seconds: float) -> tuple[str, str]:
    """At the price of an hour that the settings name."""
    if not settings.PRICE_PER_HOUR:
        return gettext("not known"), gettext("STEADYHAND_PRICE_PER_HOUR names no price of an hour")
    amount, _, currency = settings.PRICE_PER_HOUR.partition(" ")
    said = digits(float(amount) * seconds / 3600, form=".2f")
    note = gettext("at %(price)s an hour") % {"price": settings.PRICE_PER_HOUR}
    return f"{said} {currency}".strip(), note


def part_row(part: dict[str, Any]) -> PartRow:
    label = gettext(PARTS.get(part["phase"], part["phase"]))
    total, seconds = part["total"], part["seconds"]
    if part["phase"] == "once":
        return PartRow(label, "", "", duration(seconds))
    units = f"{whole(round(total))} {gettext(part['unit']) if part['unit'] else ''}".strip()
    return PartRow(label, units, small(seconds / max(total, 1e-9)), duration(seconds))


def small(seconds: float) -> str:
    if seconds >= 0.1:
        return gettext("%(seconds)s s") % {"seconds": digits(seconds, form=".3g")}
    if seconds >= 1e-4:
        return gettext("%(time)s ms") % {"time": digits(1e3 * seconds, form=".3g")}
    return gettext("%(time)s µs") % {"time": digits(1e6 * seconds, form=".3g")}


def machine_of(machine: dict[str, Any]) -> str:
    told = {"host": machine["host"], "cores": whole(machine["cores"]), "memory": gib(machine["memory"])}
    said = gettext("%(host)s: %(cores)s cores, %(memory)s") % told
    return f"{said}, {machine['gpu']}" if machine.get("gpu") else said


def gib(size: float) -> str:
    return gettext("%(size)s GiB") % {"size": digits(size / GIB, form=".2f")}


def of_all(size: float) -> str:
    return gettext("of %(size)s") % {"size": gib(size)}


# What a run took


def used_by(run: Run) -> list[tuple[str, str]]:
    """Of its last attempt."""
    if not run.used:
        return []
    found = [
        (gettext("time of its process"), duration(run.used["seconds"])),
        (gettext("memory"), gib(run.used["memory"])),
    ]
    if run.used.get("gpu_memory"):
        found.append((gettext("GPU memory"), gib(run.used["gpu_memory"])))
    return found


def beside_estimate(run: Run) -> Beside | None:
    """The newest estimate of the same recipe and inputs; what the run took stands beside it once it has succeeded."""
    if run.is_estimate or not run.fingerprint:
        return None
    estimates = Run.objects.filter(fingerprint=run.fingerprint, is_estimate=True, state=RunState.SUCCEEDED)
    estimate = estimates.order_by("-created_at", "-pk").first()
    if estimate is None:
        return None
    # A run that was resumed tells what its last attempt took, which is no whole run.
    is_told = run.state == RunState.SUCCEEDED and run.attempt == 1 and bool(run.used)
    rows = []
    for label, name, word in (
        (gettext("Time"), "seconds", duration), (gettext("Memory at its peak"), "memory", gib),
        (gettext("GPU memory at its peak"), "gpu_memory", gib),
    ):  # fmt: skip
        said = estimate.metrics.get(name)
        if not said:
            continue
        real = run.used.get(name) if is_told else None
        rows.append((label, word(said), word(real) if real else "", apart(said, real) if real else ""))
    return Beside(estimate, tuple(rows))


def apart(said: float, real: float) -> str:
    return gettext("%(percent)s %%") % {"percent": digits(100 * (said / real - 1), form="+.0f")}
