"""The people of the pictures, and how those who are not at the desk rank: by the order of the texts in the file, with slips."""

from __future__ import annotations

import os
import random
import uuid
from datetime import timedelta

from django.utils import timezone

from accounts.models import Role, User
from accounts.services import create_person
from annotation.models import Assignment, Campaign, Completion, Ranking
from annotation.services.assign import lease_next
from annotation.services.judge import Submission
from annotation.services.rank import submit_ranking

PEOPLE = {
    "grace": Role.ADMIN, "rex": Role.RESEARCHER, "rita": Role.REVIEWER,
    "ada": Role.RATER, "bea": Role.RATER, "cleo": Role.RATER, "dan": Role.RATER, "eve": Role.RATER,
}  # fmt: skip
lot = random.Random(20)


def make_people() -> dict[str, User]:
    """By name; whoever is there already stays. All have the password STEADYHAND_PASSWORD, or each one that nobody knows."""
    password = os.environ.get("STEADYHAND_PASSWORD", "")
    return {
        name: User.objects.filter(username=name).first()
        or create_person(name, role=role, by=None, password=password)[0]
        for name, role in PEOPLE.items()
    }


def rank_next(
    campaign: Campaign, rater: User, *, noise: float, days_ago: int = 0, is_reversed: bool = False, **said: object
) -> Ranking | None:
    """Ranks as if she had been at it for a minute or two, some days ago; None where nothing waits for her."""
    assignment = lease_next(campaign, rater=rater)
    if assignment is None:
        return None
    Assignment.objects.filter(pk=assignment.pk).update(leased_at=timezone.now() - timedelta(minutes=10))
    assignment.refresh_from_db()
    order = {} if "cannot_rank" in said else an_order(assignment, noise=noise, is_reversed=is_reversed)
    seconds = lot.uniform(35, 150)
    submission = Submission(client_uuid=uuid.uuid4(), seconds=seconds, **order, **said)  # type: ignore[arg-type]
    made = submit_ranking(assignment, rater=rater, submission=submission)
    day = timezone.now() - timedelta(days=days_ago, hours=lot.uniform(0, 5))
    Ranking.objects.filter(pk=made.pk).update(created_at=day)
    return made


def an_order(assignment: Assignment, *, noise: float, is_reversed: bool) -> dict[str, object]:
    """`noise` is the standard deviation of what she adds to a text's place; texts that come out close are tied.

    Noise is drawn in the order of the file, whatever the order on her page, so that each staging tells the same story.
    """
    worth = {letter: quality_of(name) * (-1 if is_reversed else 1) for letter, name in assignment.letters().items()}
    quality = {letter: worth[letter] + lot.gauss(0, noise) for letter in sorted(worth, key=worth.__getitem__)}
    tiers: list[list[str]] = []
    strengths: list[int] = []
    last = 0.0
    for letter in sorted(quality, key=quality.__getitem__):
        if tiers and quality[letter] - last < 0.15:
            tiers[-1].append(letter)
        else:
            if tiers:
                strengths.append(min(4, max(1, round(quality[letter] - last))))
            tiers.append([letter])
        last = quality[letter]
    return {"tiers": tiers, "strengths": strengths}


def quality_of(completion: str) -> int:
    """Its place in the file, where the best stands first."""
    return int(Completion.objects.values_list("external_id", flat=True).get(pk=completion))
