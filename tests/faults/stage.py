"""A program: an open campaign with raters who have tokens and sessions, in the database of this environment, told as JSON."""

from __future__ import annotations

import argparse
import gc
import json
import random
from typing import Any

import django

gc.disable()  # it ends before there is any
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from accounts.models import Role, User  # noqa: E402
from accounts.services import create_token  # noqa: E402
from annotation.models import Campaign, CampaignState, Completion, RankingTask, TaskKind  # noqa: E402
from annotation.services.campaigns import create_campaign, set_state  # noqa: E402
from annotation.services.completions import make_tasks  # noqa: E402
from annotation.services.prompts import add_prompts  # noqa: E402

WORDS = ("river", "stone", "light", "answer", "because", "often", "never", "small", "open", "quiet", "winter", "early")


def a_person(name: str, *, role: str = Role.RATER) -> User:
    return User.objects.create(username=name, role=role)


def a_text(lot: random.Random, number: int, index: int, *, words: int) -> str:
    """As long as any other, so that no size tells who wrote it."""
    said = " ".join(lot.choice(WORDS) for _ in range(words))
    return f"Reply {number:06} {index}: {said}."


def a_campaign(
    name: str, *, raters: list[User], tasks: int, k: int, models: int, overlap: int, words: int, lease: int
) -> Campaign:
    """Each task shows the texts of `k` of the models, by lot."""
    lot = random.Random(name)
    campaign = create_campaign(
        name, k=k, overlap=overlap, guideline="Be fair.", user=None, raters=raters, lease_minutes=lease
    )
    add_prompts(campaign, rows=[{"prompt": f"Question {number} of {name}?"} for number in range(tasks)], user=None)
    Completion.objects.bulk_create(
        Completion(prompt=prompt, text=a_text(lot, number, index, words=words), model_label=f"secret-model-{index}")
        for number, prompt in enumerate(campaign.prompts.order_by("created_at", "pk"))
        for index in lot.sample(range(models), k)
    )
    make_tasks(campaign)
    return set_state(campaign, to=CampaignState.OPEN, user=None)


def make_special(campaign: Campaign, *, share: float) -> None:
    """Turns some tasks into gold and repeats, which differ from work by nothing but that."""
    lot = random.Random(campaign.name)
    tasks = list(campaign.tasks.order_by("created_at", "pk"))
    for task in lot.sample(tasks, round(share * len(tasks))):
        kind = lot.choice([TaskKind.GOLD, TaskKind.REPEAT])
        repeats = lot.choice(tasks) if kind == TaskKind.REPEAT else None
        RankingTask.objects.filter(pk=task.pk).update(kind=kind, repeats=repeats)


def a_session(user: User) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def access(user: User) -> dict[str, Any]:
    _, secret = create_token(user, name="rater", days=1, can_write=True)
    return {"id": user.pk, "name": user.username, "token": secret, "session": a_session(user)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="Everyday")
    parser.add_argument("--raters", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--k", type=int, default=3)
    parser.add_argument("--models", type=int, default=0)  # of which each task shows k; all where it is 0
    parser.add_argument("--special", type=float, default=0.0)  # share of tasks that are gold or repeats
    parser.add_argument("--overlap", type=int, default=3)
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--lease", type=int, default=20)
    parser.add_argument("--researchers", type=int, default=0)
    asked = parser.parse_args()
    with transaction.atomic():
        raters = [a_person(f"{asked.name.lower()}-{number}") for number in range(asked.raters)]
        studying = [a_person(f"studies-{number}", role=Role.RESEARCHER) for number in range(asked.researchers)]
        campaign = a_campaign(
            asked.name, raters=raters, tasks=asked.tasks, k=asked.k, models=asked.models or asked.k, overlap=asked.overlap,
            words=asked.words, lease=asked.lease,
        )  # fmt: skip
        make_special(campaign, share=asked.special)
        told = {
            "slug": campaign.slug, "id": campaign.pk, "wanted": asked.tasks * asked.overlap, "overlap": asked.overlap,
            "raters": [access(user) for user in raters], "researchers": [access(user) for user in studying],
        }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
