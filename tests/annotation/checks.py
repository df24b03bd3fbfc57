"""Checks for tests: plans, gold of the arranged campaigns, and raters who rank by a rule."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from accounts.models import User
from annotation.models import (
    Assignment,
    Campaign,
    Completion,
    GoldAnswer,
    Membership,
    Ranking,
    RankingTask,
    Standing,
    TaskKind,
)
from annotation.services.assign import lease_next
from annotation.services.gold import make_gold
from annotation.services.judge import Submission
from annotation.services.quality_plan import set_plan
from annotation.services.rank import submit_ranking
from tests.annotation.arrange import a_submission

Rule = Callable[[dict[str, str]], list[list[str]]]  # texts by letter -> tiers of letters


def in_order(texts: dict[str, str]) -> list[list[str]]:
    """As the arranged texts say themselves: "Answer 0 ..." is the best."""
    return [[letter] for letter in sorted(texts, key=texts.__getitem__)]


def reversed_order(texts: dict[str, str]) -> list[list[str]]:
    return in_order(texts)[::-1]


def by_chance(seed: int) -> Rule:
    lot = random.Random(seed)

    def rule(texts: dict[str, str]) -> list[list[str]]:
        letters = sorted(texts)
        lot.shuffle(letters)
        return [[letter] for letter in letters]

    return rule


def a_plan(campaign: Campaign, **fields: Any) -> None:
    """Nothing is checked but what is asked for."""
    set_plan(campaign, user=None, **{"gold_share": 0.0, "repeat_share": 0.0, **fields})


def gold_of(
    campaign: Campaign, count: int, *, kind: TaskKind = TaskKind.GOLD, user: User | None = None
) -> list[GoldAnswer]:
    """Of the first `count` tasks that are none yet, in the order that their texts say."""
    work = RankingTask.objects.filter(campaign=campaign, kind=TaskKind.WORK, golds=None)
    return [
        make_gold(task, tiers=right_order(task), explanation="The lower number is better.", kind=kind, user=user)
        for task in work.order_by("prompt__created_at", "prompt__pk")[:count]
    ]


def right_order(task: RankingTask) -> list[list[str]]:
    return [[str(pk)] for pk in task.completions.order_by("text").values_list("pk", flat=True)]


def texts_on(assignment: Assignment) -> dict[str, str]:
    texts = {str(pk): text for pk, text in Completion.objects.filter(pk__in=assignment.order).values_list("pk", "text")}
    return {letter: texts[name] for letter, name in assignment.letters().items()}


def rank_next(
    campaign: Campaign, rater: User, *, rule: Rule = in_order, seconds: float | None = None
) -> Ranking | None:
    """None where nothing waits."""
    assignment = lease_next(campaign, rater=rater)
    if assignment is None:
        return None
    order = ">".join("=".join(tier) for tier in rule(texts_on(assignment)))
    submission: Submission = a_submission(order, seconds=seconds)
    return submit_ranking(assignment, rater=rater, submission=submission)


def standing_of(campaign: Campaign, rater: User) -> Standing:
    return Standing(Membership.objects.get(campaign=campaign, user=rater).standing)


def kinds_given(campaign: Campaign, rater: User) -> list[str]:
    given = Assignment.objects.filter(rater=rater, task__campaign=campaign).order_by("leased_at", "pk")
    return list(given.values_list("task__kind", flat=True))
