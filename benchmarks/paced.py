"""200 raters who think for 5 s between two tasks and 20 dashboards that look every 5 s: how long a rater waits for her next task.

    python -m benchmarks.paced [--raters 200] [--seconds 60] [--think 5] [--processes 2]

The measure is the page that people use: a ranking submitted and the next task shown, in one request. Its time runs from the
moment when it was due (an open loop), so that a server that falls behind is charged for all who wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from benchmarks import bench
from benchmarks.sites import SITES, load
from tests.faults import paced
from tests.faults.houses import stage
from tests.faults.webs import webs

GOAL_MS = 150


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--raters", type=int, default=200)
    parser.add_argument("--dashboards", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=5)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    print(f"{bench.machine()}, load {load()} before, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC", flush=True)
    print(
        "| database | submits | p50 | p95 | p99 ms | dashboards p95 ms | answers | 5xx |\n|---|---|---|---|---|---|---|---|"
    )
    worst, errors = 0.0, 0
    for name, site_of in SITES.items():
        with site_of() as site:
            tasks = int(asked.raters * (asked.seconds / asked.think + 2) / 2)
            staged = stage(site, raters=asked.raters, tasks=tasks, overlap=3, words=120, researchers=asked.dashboards)
            pace = paced.Pace(think_s=asked.think, seconds=asked.seconds)
            with webs(site.env(), log=site.home / "web.log", count=asked.processes) as running:
                told = asyncio.run(paced.work(staged, running, pace))
        looks = sorted(told.looks)
        failed = told.lost + sum(count for status, count in told.statuses.items() if status >= 500)
        print(
            f"| {name} | {len(told.submits)} | {told.ms(50)} | {told.ms(95)} | {told.ms(99)} | "
            f"{1000 * looks[int(0.95 * len(looks))]:.0f} | {dict(told.statuses)} | {failed} |", flush=True,
        )  # fmt: skip
        worst, errors = max(worst, told.ms(95)), errors + failed
    ratio = round(GOAL_MS / worst, 3) if not errors else 0.0
    line = {"bench": "paced", "ratio": ratio, "at_least": 1, "p95_ms": worst, "errors": errors}
    print(json.dumps(line | {"load": load(), "machine": bench.machine()}))


if __name__ == "__main__":
    main()
