"""What a training process used of its machine, and what machine that is. No torch unless the method has loaded it."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any


def process_began() -> float:
    """By `time.monotonic()`; the kernel tells it in ticks since it was started."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    lived = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - lived


def used(began: float) -> dict[str, float]:
    """Seconds since `began`; the most memory that stood in this process, in bytes, and on its GPU where there is one.

    VmHWM and not `getrusage`, whose figure a process inherits from whoever started it.
    """
    found: dict[str, float] = {"seconds": round(time.monotonic() - began, 2), "memory": peak_memory()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu_memory"] = int(torch.cuda.max_memory_allocated())
    return found


def peak_memory() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def machine() -> dict[str, Any]:
    """The host's name, its cores and memory (of its control group, where that has less), its GPU."""
    found: dict[str, Any] = {
        "host": platform.node(), "cores": len(os.sched_getaffinity(0)), "architecture": platform.machine(),
        "memory": total_memory(),
    }  # fmt: skip
    torch = sys.modules.get("torch")
    if torch is not None:
        found |= {"torch": str(torch.__version__), "threads": torch.get_num_threads()}
        if torch.cuda.is_available():
            gpu = torch.cuda.get_device_properties(0)
            found |= {"gpu": gpu.name, "gpu_memory": int(gpu.total_memory)}
    return found


def total_memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    told = limit.read_text().strip() if limit.exists() else "max"
    return min(total, int(told)) if told.isdigit() else total
