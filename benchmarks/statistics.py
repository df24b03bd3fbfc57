"""The whole report of a campaign of a hundred thousand rankings, from rows as the database gives them; beside ten thousand."""

from __future__ import annotations

import itertools
import json
import os
import resource
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django

django.setup()

from annotation.quality.table import MOST_TEXTS
from annotation.services import reading, report
from benchmarks import bench

MODELS = ("base", "dpo", "ppo", "sft")
QUALITY = np.array([-0.8, 0.6, 0.3, 0.0])
RATERS = 60


def main() -> None:
    small, large = (taken(num) for num in (10_000, 100_000))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"10,000 rankings: {small:.1f} s; 100,000 rankings: {large:.1f} s of processor time; at most {memory:.0f} MiB"
    )
    told = {
        "bench": "statistics",
        "seconds_100k": round(large, 1),
        "ratio": round(large / small, 2),
        "MiB": round(memory),
    }
    print(json.dumps(told | {"machine": bench.machine()}))


def taken(num: int) -> float:
    """Seconds of processor time: reading rows into arrays, and every figure with 1,000 resamples."""
    rows = rows_of(num)
    reader = reading.Reader()
    started = time.process_time()
    for row in rows:
        reader.take(row)
    table = reader.builder.table()
    order = table.row_N
    model_TK = np.full((len(table.tasks), MOST_TEXTS), -1, dtype=np.intp)
    length_TK = np.zeros((len(table.tasks), MOST_TEXTS))
    for at, texts in enumerate(table.texts):
        for name, column in texts.items():
            model_TK[at, column] = int(name[-1])
            length_TK[at, column] = 50 + int(name[:3], 16) % 700
    read = reading.Read(
        table=table, day_N=reading.numbers(reader.day)[order], guideline_N=reading.numbers(reader.guideline)[order],
        kind_N=reading.numbers(reader.kind)[order], kinds=tuple(reader.kinds), model_TK=model_TK, length_TK=length_TK,
        models=MODELS, at_of_all=np.asarray(reader.at), seconds_of_all=np.asarray(reader.took),
    )  # fmt: skip
    report.part_of(read, gold={})
    return time.process_time() - started


def rows_of(num: int) -> Iterator[tuple[Any, ...]]:
    """Tasks of four texts, three rankings each, in the columns of `reading.COLUMNS`."""
    random = np.random.default_rng(1)
    began = datetime(2026, 1, 1).astimezone()
    for number in range(-(-num // 3)):
        task = str(uuid.UUID(int=number))
        names = [f"{random.integers(16**8):08x}-{number}-{at}" for at in range(4)]
        felt = QUALITY + random.normal(scale=0.5, size=4)
        for rater in random.choice(RATERS, size=3, replace=False):
            seen = felt + random.normal(scale=0.3 + rater / RATERS, size=4)
            order = np.argsort(-seen)
            tiers = [[names[order[0]]]]
            for before, after in itertools.pairwise(order):
                if seen[before] - seen[after] < 0.08:
                    tiers[-1].append(names[after])
                else:
                    tiers.append([names[after]])
            at = began + timedelta(minutes=0.5 * number)
            shown = [names[i] for i in random.permutation(4)]
            seconds = float(random.lognormal(3.8, 0.6))
            yield (task, f"r{rater:02}", tiers, None, seconds, at, 1 + number % 2, shown, ("code", "")[number % 2], "", at,
                   at + timedelta(seconds=seconds), False)  # fmt: skip


if __name__ == "__main__":
    main()
