"""Campaigns for tests: prompts, completions and tasks made by the services that the product uses."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path

from accounts.models import Role, User
from annotation.models import Assignment, Campaign, CampaignState, Completion, Prompt
from annotation.services.campaigns import add_raters, create_campaign, set_state
from annotation.services.completions import make_tasks
from annotation.services.judge import Submission
from annotation.services.prompts import add_prompts


def a_person(name: str, *, role: str = Role.RATER, is_simulated: bool = False) -> User:
    return User.objects.create(username=name, role=role, is_simulated=is_simulated)


def a_campaign(
    *,
    raters: list[User] | tuple[User, ...] = (),
    num_prompts: int = 3,
    k: int = 3,
    overlap: int = 2,
    name: str = "Everyday",
) -> Campaign:
    """An open campaign; completion i of prompt p reads "Answer i to question p." """
    campaign = create_campaign(name, k=k, overlap=overlap, guideline="Be fair.", user=None, raters=raters)
    add_prompts(campaign, rows=[{"prompt": f"Question {p}?"} for p in range(num_prompts)], user=None)
    for p, prompt in enumerate(campaign.prompts.order_by("created_at", "pk")):
        for i in range(k):
            Completion.objects.create(
                prompt=prompt, text=f"Answer {i} to question {p}.", model_label=f"secret-model-{i}"
            )
    make_tasks(campaign)
    return set_state(campaign, to=CampaignState.OPEN, user=None)


def add_more(campaign: Campaign, *raters: User) -> None:
    add_raters(campaign, raters=raters, user=None)


def answers(prompt: Prompt, *texts: str) -> None:
    for text in texts:
        Completion.objects.create(prompt=prompt, text=text)


def a_submission(tiers: str = "a>b>c", *, client_uuid: uuid.UUID | None = None, **fields: object) -> Submission:
    """`tiers` like "a=b>c"; strengths are 1 unless given."""
    return Submission(
        client_uuid=client_uuid or uuid.uuid4(),
        tiers=[tier.strip().split("=") for tier in tiers.split(">")],
        **fields,
    )


def run_out(assignment: Assignment) -> None:
    """As if the rater had gone to lunch."""
    Assignment.objects.filter(pk=assignment.pk).update(lease_until=assignment.leased_at - timedelta(seconds=1))


def a_file(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def a_row(n: int, *, rankings: list[dict[str, object]] | None = None) -> dict[str, object]:
    """A line of a rankings file with three completions."""
    completions = [
        {"id": name, "text": f"Reply {name} to {n}." + " word" * (10 * i), "model": "theirs"}
        for i, name in enumerate("xyz")
    ]
    return {"prompt": f"What is {n}?", "completions": completions, "rankings": rankings or []}
