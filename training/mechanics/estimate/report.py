"""The report of an estimate, `output/estimate.json`: what the run would take, part by part, and on which machine."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import Any

from training import contract, machine
from training.context import RunContext
from training.mechanics.estimate.probe import Part, Probe

NAME = "estimate.json"
# What a probe leaves in a run's folder, and must not find there: it would be timed as if there was nothing to do.
KEPT = (contract.SPEC, contract.EVENTS, contract.LOCK, "process.log")


def begin_anew(context: RunContext) -> None:
    for path in context.dir.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in KEPT:
            path.unlink()


def finish(context: RunContext, probe: Probe) -> dict[str, Any]:
    """Leaves the report alone in `output/`, and gives its figures. What the run would have made is hashed first, as it does."""
    contract.folder_files(context.output)
    found, used = probe.now(), machine.used(probe.began)
    low, high = probe.range()
    metrics: dict[str, Any] = {
        "seconds": round(found.seconds, 3), "seconds_low": round(low, 3), "seconds_high": round(high, 3),
        "flops": found.flops, "tokens_learned": round(found.learned), "tokens_read": round(found.read),
        "probe_seconds": round(probe.elapsed, 1), "memory": used["memory"],
    }  # fmt: skip
    if "gpu_memory" in used:
        metrics["gpu_memory"] = used["gpu_memory"]
    if probe.left_in:
        metrics["left_in"] = probe.left_in
    shutil.rmtree(context.output)
    parts = [asdict(part) for part in parts_of(probe)]
    report = {**metrics, "parts": parts, "machine": machine.machine()}
    contract.write_atomically(context.output / NAME, json.dumps(report, indent=1, sort_keys=True))
    return metrics


def parts_of(probe: Probe) -> list[Part]:
    """The parts that come again and again, and what is left of the whole: loading, preparing, publishing."""
    once = probe.now().seconds - sum(part.seconds for part in probe.parts)
    return [*probe.parts, Part("once", "", 1, max(once, 0.0), 1)]
