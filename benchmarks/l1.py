"""200 raters, 20,000 rankings over HTTP, 20 SIGKILLs of web processes, on SQLite and on PostgreSQL; what was lost or doubled.

    python -m benchmarks.l1 [--rankings 20000] [--raters 200] [--kills 20] [--seed 1] [--only sqlite]

Raters don't think: each submits as soon as it has a task, so the times are those of a queue that is always full.
"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks import bench
from benchmarks.sites import SITES, load
from tests.faults.houses import stage
from tests.faults.runs_of_raters import Told, a_day, kills

OVERLAP = 3
COLUMNS = (
    "database", "seed", "kills", "acked", "found", "missing", "duplicates", "over overlap", "incomplete", "unexplained",
    "lost answers", "p50", "p95", "p99 ms", "seconds",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rankings", type=int, default=20_000)
    parser.add_argument("--raters", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=SITES, default=None)
    asked = parser.parse_args()
    print(f"{bench.machine()}, load {load()} before, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC", flush=True)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    found = {}
    for name in [asked.only] if asked.only else SITES:
        with SITES[name]() as site:
            staged = stage(site, raters=asked.raters, tasks=-(-asked.rankings // OVERLAP), overlap=OVERLAP)
            told = found[name] = a_day(
                site, staged, seed=asked.seed, faults=kills(asked.kills), longest_s=7200, patience_s=600
            )
        print(row(name, told, num_kills=asked.kills), flush=True)
        print(f"answers {told.ledger.statuses}, violations {told.violations}, load {load()} after", flush=True)
    is_sound = all(told.verdict.is_sound and not told.violations for told in found.values())
    rates = {name: round(told.verdict.acked / told.seconds, 1) for name, told in found.items()}
    line = {"bench": "l1", "ratio": float(is_sound), "at_least": 1, "rankings_a_second": rates}
    print(json.dumps(line | {"machine": bench.machine()}))


def row(name: str, told: Told, *, num_kills: int) -> str:
    counted = told.verdict
    cells = (
        name, told.seed, num_kills, counted.acked, counted.found, counted.missing, counted.duplicates, counted.over_overlap,
        counted.incomplete, counted.unexplained, told.ledger.lost, told.ms(50), told.ms(95), told.ms(99), round(told.seconds),
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
