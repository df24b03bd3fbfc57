"""What every benchmark does: rival and own code by turns in one process, medians, and one JSON line at the end."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any


def rates(sides: dict[str, Callable[[], int]], *, warm_up: int, runs: int) -> dict[str, list[float]]:
    """Units a second of each side, run by run. The sides take turns, so that a slow minute of the machine meets both."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_up + runs):
        for name, work in sides.items():
            began = time.perf_counter()
            units = work()
            if number >= warm_up:
                found[name].append(units / (time.perf_counter() - began))
    return found


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def report(name: str, *, ours: list[float], peer: list[float], at_least: float, **facts: Any) -> None:
    """`ratio` is the median over runs of ours / peer, each pair measured one after the other."""
    ratio = statistics.median(a / b for a, b in zip(ours, peer, strict=True))
    line = {"bench": name, "ratio": round(ratio, 3), "at_least": at_least, "machine": machine(), **facts}
    print(json.dumps(line))
