"""The cost of "next" with 1,000, 100,000 and 1,000,000 tasks in a campaign: lease and submit, on SQLite and PostgreSQL.

A step is what a rater waits for between two tasks: her ranking stored, the next task leased. Four raters take turns. Then
Lone, who has ranked 10,000 tasks alone while three are wanted of each, goes on: two free slots of each lie behind her. The
campaigns are in one database and take turns, step by step, so that a slow minute of the machine meets all of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import bench

SIZES = tuple(int(size) for size in os.environ.get("STEADYHAND_BENCH_SIZES", "1000 100000 1000000").split())
STEPS, WARM_UP, RATERS, OVERLAP = 300, 40, 4, 3
RANKED_BEFORE = 10_000  # by Lone, or all but a few of a smaller campaign's
LEFT = 400
MEASURES = {
    "step_p50_ms": "step, p50", "step_p95_ms": "step, p95", "lone_first_ms": "Lone, first walk",
    "lone_p50_ms": "Lone, p50", "lone_p95_ms": "Lone, p95", "home_ms": "home of all, Lone",
}  # fmt: skip


def main() -> None:
    from tests import servers

    found: dict[str, dict[int, dict[str, Any]]] = {}
    with ExitStack() as stack:
        urls = {"sqlite": "", "postgresql": stack.enter_context(servers.postgres()).url}
        for database, url in urls.items():
            found[database] = {int(size): told for size, told in measured(url=url).items()}
            for size, told in found[database].items():
                figures = ", ".join(f"{words} {told[name]:.1f}" for name, words in MEASURES.items())
                print(f"{database:>10} {size:>9,} tasks, ms: {figures}")
            for name, plan in found[database][SIZES[-1]]["plans"].items():
                print(f"plan of {name} at {SIZES[-1]:,}:\n{plan}")
    # Flat: the longest campaign makes nobody wait longer than the shortest, on the worse of the two databases.
    ratios = {
        f"{database} {name}": at[SIZES[0]][name] / at[SIZES[-1]][name]
        for database, at in found.items()
        for name in ("step_p50_ms", "lone_p50_ms")
    }
    told = {name: {size: {m: round(at[size][m], 1) for m in MEASURES} for size in SIZES} for name, at in found.items()}
    line = {"bench": "assignment", "ratio": round(min(ratios.values()), 3), "at_least": 0.5, "ms": told}
    print(json.dumps(line | {"machine": bench.machine(), "load": round(os.getloadavg()[0], 1)}))


def measured(*, url: str) -> dict[str, Any]:
    """In a process of its own: Django's settings are read once."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "STEADYHAND_HOME": home, "DJANGO_SETTINGS_MODULE": "config.settings"}
        environment |= {"STEADYHAND_DATABASE_URL": url} if url else {}
        command = [sys.executable, "-m", "benchmarks.assignment", "inside"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


def inside() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "platform"))
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    Path(settings.STEADYHAND_HOME).mkdir(exist_ok=True)
    call_command("migrate", verbosity=0)
    arranged = {size: arrange(size) for size in SIZES}
    analyze()
    told = turns(arranged)
    for size, more in alone({size: campaign for size, (campaign, _) in arranged.items()}).items():
        told[size] |= more
    print(json.dumps(told))


def arrange(size: int) -> tuple[Any, list[Any]]:
    """An open campaign; its tasks are all of one prompt and two completions, which costs "next" the same as many."""
    from django.db import connection

    from accounts.models import Role, User
    from annotation.models import CampaignState, Completion
    from annotation.services.campaigns import add_raters, create_campaign, set_state
    from annotation.services.prompts import add_prompts
    from annotation.services.queues import queue_of

    names = ["lone", *(f"rater-{i}" for i in range(RATERS))]
    raters = [User.objects.get_or_create(username=name, defaults={"role": Role.RATER})[0] for name in names]
    campaign = create_campaign(f"Bench {size}", k=2, overlap=OVERLAP, guideline="Be fair.", user=None)
    add_raters(campaign, raters=raters, user=None)
    add_prompts(campaign, rows=[{"prompt": "Which of these is better?"}], user=None)
    prompt = campaign.prompts.get()
    texts = [Completion.objects.create(prompt=prompt, text=f"Answer {i}.") for i in range(2)]
    with connection.cursor() as cursor:
        fill(cursor, campaign=campaign.pk, prompt=prompt.pk, texts=[text.pk for text in texts], size=size,
             queue=queue_of(campaign).pk)  # fmt: skip
    return set_state(campaign, to=CampaignState.OPEN, user=None), raters[1:]


def analyze() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def fill(cursor: Any, *, campaign: int, prompt: Any, texts: list[Any], size: int, queue: int) -> None:
    """Tasks, their completions and slots, by statements of the database: services would take hours."""
    is_postgres = cursor.db.vendor == "postgresql"
    new_id = "gen_random_uuid()" if is_postgres else "lower(hex(randomblob(16)))"
    lot = "(random() * 1099511627775)::bigint" if is_postgres else "abs(random() % 1099511627776)"
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s)"
    now, yes = ("now()", "true") if is_postgres else ("datetime('now')", "1")
    of = (lambda key: str(key)) if is_postgres else (lambda key: key.hex)
    cursor.execute(
        f"INSERT INTO annotation_rankingtask (id, campaign_id, prompt_id, priority, kind, created_at)"
        f" {numbers} SELECT {new_id}, %s, %s, 50, 'work', {now} FROM n",
        [size, campaign, of(prompt)],
    )
    for index, text in enumerate(texts):
        cursor.execute(
            'INSERT INTO annotation_taskcompletion (task_id, completion_id, "index")'
            " SELECT id, %s, %s FROM annotation_rankingtask WHERE campaign_id = %s",
            [of(text), index, campaign],
        )
    cursor.execute(
        "INSERT INTO annotation_slot (task_id, campaign_id, queue_id, number, is_free, turn, order_key)"
        f" {numbers} SELECT id, campaign_id, %s, n.i - 1, {yes}, 0, (50 * 1099511627776) + {lot}"
        " FROM annotation_rankingtask, n WHERE campaign_id = %s",
        [OVERLAP, queue, campaign],
    )


def turns(arranged: dict[int, tuple[Any, list[Any]]]) -> dict[int, dict[str, Any]]:
    """Lease and submit, rater by rater and campaign by campaign."""
    times: dict[int, list[float]] = {size: [] for size in arranged}
    for step in range(WARM_UP + STEPS):
        for size, (campaign, raters) in arranged.items():
            times[size].append(timed(lambda c=campaign, r=raters[step % RATERS]: cycle(c, r)))
    return {
        size: {"step_p50_ms": statistics.median(found[WARM_UP:]), "step_p95_ms": p95(found[WARM_UP:])}
        for size, found in times.items()
    }


def alone(campaigns: dict[int, Any]) -> dict[int, dict[str, Any]]:
    """Lone's first walk finds her bookmark at the start and 20,000 slots that she can't take; the others go on from it."""
    from accounts.models import User
    from annotation.services.assign import lease_next
    from annotation.services.desk import desks_of

    lone = User.objects.get(username="lone")
    for campaign in campaigns.values():
        has_ranked(campaign, lone)
    analyze()
    told: dict[int, dict[str, Any]] = {}
    times: dict[int, list[float]] = {size: [] for size in campaigns}
    for size, campaign in campaigns.items():
        at_start = plans(campaign, lone)
        told[size] = {"lone_first_ms": timed(lambda c=campaign: lease_next(c, rater=lone)), "plans": at_start}
    for _ in range(WARM_UP + STEPS):
        for size, campaign in campaigns.items():
            times[size].append(timed(lambda c=campaign: cycle(c, lone)))
    home = statistics.median(timed(lambda: desks_of(lone)) for _ in range(20))  # of all campaigns at once
    for size, campaign in campaigns.items():
        found = times[size][WARM_UP:]
        told[size] |= {"lone_p50_ms": statistics.median(found), "lone_p95_ms": p95(found), "home_ms": home}
        told[size]["plans"]["next, from a bookmark"] = plans(campaign, lone)["next, from the start"]
    return told


def has_ranked(campaign: Any, lone: Any) -> None:
    """As if Lone had ranked the tasks at the front."""
    import uuid

    from django.utils import timezone

    from annotation.models import Assignment, AssignmentState, Slot

    free = Slot.objects.filter(campaign=campaign, is_free=True).order_by("order_key").values_list("pk", "task")
    first: dict[Any, int] = {}
    wanted = min(RANKED_BEFORE, campaign.tasks.count() - LEFT)
    for pk, task in free[: RANKED_BEFORE * OVERLAP]:
        if len(first) < wanted:
            first.setdefault(task, pk)
    now = timezone.now()
    Assignment.objects.bulk_create(
        [
            Assignment(id=uuid.uuid4(), slot_id=slot, task_id=task, rater=lone, state=AssignmentState.DONE, order=[],
                       leased_at=now, lease_until=now)
            for task, slot in first.items()
        ],
        batch_size=1000,
    )  # fmt: skip
    slots = list(first.values())
    for start in range(0, len(slots), 1000):
        Slot.objects.filter(pk__in=slots[start : start + 1000]).update(is_free=False)


def plans(campaign: Any, rater: Any) -> dict[str, str]:
    """How the database says that it walks, ahead and to what came back."""
    from annotation.services.queues import first_ahead, first_returned, walks_of

    walk = walks_of([campaign], rater=rater)[campaign.pk][0]
    return {
        "next, from the start": first_ahead.plain(walk.queue, walk.from_key, rater.pk).explain(),
        "next, what came back": first_returned.plain(walk.queue, walk.from_turn, walk.from_key, rater.pk).explain(),
    }


def cycle(campaign: Any, rater: Any) -> None:
    import uuid

    from annotation.services.assign import lease_next
    from annotation.services.rank import Submission, submit_ranking

    lease = lease_next(campaign, rater=rater)
    assert lease is not None
    submit_ranking(lease, rater=rater, submission=Submission(uuid.uuid4(), [[name] for name in lease.letters()]))


def timed(deed: Callable[[], Any]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    deed()
    return 1000 * (time.perf_counter() - began)


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


if __name__ == "__main__":
    inside() if len(sys.argv) > 1 else main()
