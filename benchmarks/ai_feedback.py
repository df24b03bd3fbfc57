"""AI feedback at size: gate, sorting, sending to people and freezing, at two sizes; `ratio` is how time grows by how rows grow.

Rows are written at once into a scratch SQLite database, as a run of `judge` and people's rankings would leave them: a pair a
task, of which people ranked three in ten. Everything is timed once at each size after a warm-up, for a freeze is
not repeated; in processor seconds, so that other work beside does not count.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import django

HOME = tempfile.TemporaryDirectory(prefix="ai-feedback-")
os.environ.pop("STEADYHAND_DATABASE_URL", None)
os.environ.update({"STEADYHAND_HOME": HOME.name, "DJANGO_SETTINGS_MODULE": "config.settings"})

django.setup()

from django.core.management import call_command
from django.utils import timezone

from accounts.models import Role, User
from annotation.models import (
    AIPreference,
    Assignment,
    AssignmentState,
    Campaign,
    Completion,
    Prompt,
    Ranking,
    RankingTask,
    Slot,
)
from annotation.services.ai_gate import gate_for, send_to_people, sort_by
from annotation.services.ai_judgements import ai_rater
from annotation.services.campaigns import create_campaign
from annotation.services.completions import make_tasks
from annotation.services.prompts import add_prompts
from annotation.services.snapshot import freeze_snapshot
from benchmarks.bench import machine
from registry.services.datasets import freeze_dataset
from runs.models import Run

T = TypeVar("T")
SIZES = (50, 200) if os.environ.get("TINY") else (2_000, 20_000)
PRINCIPLES, KINDS = [f"principle-{n}" for n in range(16)], ["advice", "code", "law", ""]
RANKED = 0.3
MOST_GROWTH = 2.0  # of time over rows: what grows by their square would have 10


def a_campaign(num: int) -> tuple[Campaign, User]:
    """`num` tasks of a pair; the feedback model is right in 85 %, abstains in 5 %."""
    ada = User.objects.get_or_create(username="ada", defaults={"role": Role.RATER})[0]
    rater = ai_rater("model", model=None, recipe={})
    campaign = create_campaign(f"Size {num}", k=2, overlap=1, guideline="Be fair.", user=None, raters=[ada])
    Campaign.objects.filter(pk=campaign.pk).update(people_share=round(100 * RANKED))
    campaign.refresh_from_db()
    add_prompts(campaign, rows=({"prompt": f"Question {n} of {num}?"} for n in range(num)), user=None)
    prompts = list(campaign.prompts.all())
    for number, prompt in enumerate(prompts):
        prompt.kind = KINDS[number % len(KINDS)]
    Prompt.objects.bulk_update(prompts, ["kind"], batch_size=500)
    Completion.objects.bulk_create(
        Completion(prompt=one, text=f"{t} {one.pk}") for one in prompts for t in ("good", "bad")
    )
    make_tasks(campaign)
    draw, now = random.Random(0), timezone.now()
    rules = freeze_dataset(
        f"rules-{num}", kind="prompts", user=None,
        splits={"train": [{"id": "1", "messages": [{"role": "user", "content": f"For {num}."}]}]},
    )  # fmt: skip
    run = Run.objects.create(method="judge", title="AI feedback", recipe={}, queued_at=now)
    said, preferences, places, ranked = [], [], [], []
    for task in (
        RankingTask.objects.filter(campaign=campaign).prefetch_related("entries__completion", "slots").iterator(100)
    ):
        good, bad = sorted((entry.completion for entry in task.entries.all()), key=lambda text: "good" not in text.text)
        right = draw.random() < 0.85
        one = Ranking(
            client_uuid=uuid.uuid4(), task=task, rater=rater, is_ai=True, strengths=[1],
            tiers=[[str(good.pk)], [str(bad.pk)]] if right else [[str(bad.pk)], [str(good.pk)]],
        )  # fmt: skip
        said.append(one)
        first, second = draw.sample([good, bad], 2)
        p = 0.8 if (first is good) == right else 0.2
        preferences.append(AIPreference(
            ranking=one, first=first, second=second, run=run, critic="model", constitution=rules,
            principle=draw.choice(PRINCIPLES), prompt_sha256="0" * 64, ab=p, ba=p, p=p, is_flipped=False,
            is_abstained=draw.random() < 0.05,
        ))  # fmt: skip
        for slot in task.slots.all():
            slot.is_free = False
            place = Assignment(
                slot=slot, task=task, rater=ada, leased_at=now, lease_until=now, ended_at=now, state=AssignmentState.DONE,
                order=[str(first.pk), str(second.pk)],
            )  # fmt: skip
            places.append((slot, place))
            ranked.append(Ranking(
                client_uuid=uuid.uuid4(), task=task, rater=ada, assignment=place,
                tiers=[[str(good.pk)], [str(bad.pk)]], strengths=[1],
            ))  # fmt: skip
    Slot.objects.bulk_update([slot for slot, _ in places], ["is_free"], batch_size=500)
    Assignment.objects.bulk_create([place for _, place in places], batch_size=500)
    Ranking.with_ai.bulk_create([*ranked, *said], batch_size=500)
    AIPreference.objects.bulk_create(preferences, batch_size=500)
    return campaign, rater


def seconds(campaign: Campaign, rater: User, *, of: dict[str, float]) -> None:
    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        made = work()
        of[name] = round(time.process_time() - began, 3)
        return made

    gate = timed("gate", lambda: gate_for(campaign, rater=rater))
    told = timed("sort", lambda: sort_by(gate, campaign, rater=rater))
    timed("freeze", lambda: freeze_snapshot(campaign, name=f"{campaign.slug}-1", user=None, feedback=rater))
    timed("send", lambda: send_to_people(campaign, [*told.for_people, *told.counted], user=None))


def main() -> None:
    call_command("migrate", verbosity=0)
    Path(HOME.name).mkdir(exist_ok=True)
    took: dict[int, dict[str, float]] = {}
    for num in (30, *SIZES):
        campaign, rater = a_campaign(num)
        took[num] = {}
        seconds(campaign, rater, of=took[num])
        if num in SIZES:
            print(
                f"{num:>6} tasks: " + ", ".join(f"{name} {found:.2f} s" for name, found in took[num].items()),
                flush=True,
            )
    small, large = (sum(took[num].values()) for num in SIZES)
    growth = large / small / (SIZES[1] / SIZES[0])
    line = {
        "bench": "ai_feedback",
        "ratio": round(MOST_GROWTH / growth, 3),
        "at_least": 1.0,
        "growth": round(growth, 3),
    }
    print(json.dumps(line | {"machine": machine(), "seconds": {str(num): took[num] for num in SIZES}}))


if __name__ == "__main__":
    main()
