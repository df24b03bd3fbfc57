"""The cost of "next" with 1,000, 100,000 and 1,000,000 tasks in a campaign: lease and submit, on SQLite and PostgreSQL.

A step is what a rater waits for between two tasks: her ranking stored, the next task leased. Four raters take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import bench

SIZES = (1_000, 100_000, 1_000_000)
STEPS, WARM_UP, RATERS, K, OVERLAP = 400, 40, 4, 4, 2
BATCH = 5_000


def main() -> None:
    from tests import servers

    found: dict[str, dict[int, dict[str, Any]]] = {}
    with ExitStack() as stack:
        homes = {"sqlite": "", "postgresql": stack.enter_context(servers.postgres()).url}
        for database, url in homes.items():
            found[database] = {}
            for size in SIZES:
                found[database][size] = told = measured(size, url=url)
                print(f"{database:>10} {size:>9,} tasks: p50 {told['p50_ms']:.1f} ms, p95 {told['p95_ms']:.1f} ms")
            print(found[database][SIZES[-1]]["plan"])
    # Flat: the longest campaign waits no longer than the shortest, on the worse of the two databases.
    ratios = {name: at[SIZES[0]]["p50_ms"] / at[SIZES[-1]]["p50_ms"] for name, at in found.items()}
    told = {name: {size: at[size]["p50_ms"] for size in SIZES} for name, at in found.items()}
    print(
        json.dumps(
            {"bench": "assignment", "ratio": round(min(ratios.values()), 3), "at_least": 0.5, "p50_ms": told}
            | {"machine": bench.machine()}
        )
    )


def measured(size: int, *, url: str) -> dict[str, Any]:
    """In a process of its own: Django's settings are read once."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "STEADYHAND_HOME": home, "DJANGO_SETTINGS_MODULE": "config.settings"}
        environment |= {"STEADYHAND_DATABASE_URL": url} if url else {}
        command = [sys.executable, "-m", "benchmarks.assignment", str(size)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


def inside(size: int) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "platform"))
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    Path(settings.STEADYHAND_HOME).mkdir(exist_ok=True)
    call_command("migrate", verbosity=0)
    campaign, raters = arrange(size)
    print(json.dumps(work(campaign, raters)))


def arrange(size: int) -> tuple[Any, list[Any]]:
    from django.db import connection

    from accounts.models import Role, User
    from annotation.models import Campaign, CampaignState, Completion, RankingTask, Slot, TaskCompletion
    from annotation.services.campaigns import add_raters, create_campaign, set_state
    from annotation.services.completions import slots_of
    from annotation.services.prompts import add_prompts

    Campaign.objects.filter(name=f"Bench {size}").delete()
    raters = [
        User.objects.get_or_create(username=f"rater-{i}", defaults={"role": Role.RATER})[0] for i in range(RATERS)
    ]
    campaign = create_campaign(f"Bench {size}", k=K, overlap=OVERLAP, guideline="Be fair.", user=None)
    add_raters(campaign, raters=raters, user=None)
    add_prompts(campaign, rows=[{"prompt": "Which of these is best?"}], user=None)
    prompt = campaign.prompts.get()
    texts = [Completion.objects.create(prompt=prompt, text=f"Answer {i}.") for i in range(K)]
    waiting: Iterator[Any] = (RankingTask(campaign=campaign, prompt=prompt) for _ in range(size))
    while tasks := list(islice(waiting, BATCH)):
        RankingTask.objects.bulk_create(tasks)
        TaskCompletion.objects.bulk_create(
            [TaskCompletion(task=task, completion=one, index=i) for task in tasks for i, one in enumerate(texts)]
        )
        Slot.objects.bulk_create([slot for task in tasks for slot in slots_of(task, count=OVERLAP)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return set_state(campaign, to=CampaignState.OPEN, user=None), raters


def work(campaign: Any, raters: list[Any]) -> dict[str, Any]:
    import uuid

    from annotation.services.assign import free_slots, lease_next
    from annotation.services.rank import Submission, submit_ranking

    times = []
    for step in range(WARM_UP + STEPS):
        rater = raters[step % RATERS]
        began = time.perf_counter()
        lease = lease_next(campaign, rater=rater)
        assert lease is not None
        submit_ranking(lease, rater=rater, submission=Submission(uuid.uuid4(), [[name] for name in lease.letters()]))
        if step >= WARM_UP:
            times.append(1000 * (time.perf_counter() - began))
    cuts = statistics.quantiles(times, n=20)
    plan = free_slots(campaign).exclude_seen(raters[0])[:1].explain()
    return {"p50_ms": statistics.median(times), "p95_ms": cuts[-1], "plan": plan}


if __name__ == "__main__":
    inside(int(sys.argv[1])) if len(sys.argv) > 1 else main()
