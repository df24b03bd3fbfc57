"""What those who run a campaign see of its checks: each rater's standing and credit, each right order and how it was met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from annotation.models import (
    Campaign,
    GoldAnswer,
    Membership,
    QualityPlan,
    Ranking,
    Standing,
    StandingChange,
    TaskKind,
)
from annotation.quality.gold import credit_over_answers
from annotation.quality.judgement import Measure, told
from annotation.rails import Rail, rail_of, review_letters
from annotation.services.evidence import Evidence, evidence_for


@dataclass(frozen=True, slots=True)
class RaterRow:
    """`evidence` is None where the campaign has no plan; `last` is the newest change of her standing."""

    member: Membership
    evidence: Evidence | None
    last: StandingChange | None

    @property
    def can_pause(self) -> bool:
        return self.member.standing in (Standing.TRUSTED, Standing.TESTED)


@dataclass(frozen=True, slots=True)
class GoldRow:
    """`credit` is over everybody's first answers: a gold that good raters miss is a bad gold."""

    gold: GoldAnswer
    rail: Rail
    credit: Measure
    num_answers: int

    @property
    def asked(self) -> str:
        last: str = self.gold.task.prompt.messages[-1]["content"]
        return last


def rater_rows(members: Sequence[Membership], *, plan: QualityPlan | None) -> list[RaterRow]:
    """Of one campaign, in five queries."""
    evidence = evidence_for(members, plan=plan, looks_at_habits=False) if plan else {}
    changes = StandingChange.objects.filter(membership__in=members).select_related("by", "appeal")
    last: dict[int, StandingChange] = {}
    for change in changes:
        last.setdefault(change.membership_id, change)
    return [RaterRow(member, evidence.get(member.pk), last.get(member.pk)) for member in members]


def num_golds(campaign: Campaign) -> dict[str, int]:
    """Right orders in use: `gold` and `tests`."""
    active = GoldAnswer.objects.filter(task__campaign=campaign, retired_at=None)
    return active.aggregate(
        gold=Count("pk", filter=Q(task__kind=TaskKind.GOLD)), tests=Count("pk", filter=Q(task__kind=TaskKind.TEST))
    )


def golds_for_rows(campaign: Campaign) -> QuerySet[GoldAnswer]:
    """With their prompts, texts and makers, as the API tells them."""
    found = GoldAnswer.objects.filter(task__campaign=campaign).select_related(
        "task__prompt", "task__campaign", "made_by"
    )
    return found.prefetch_related("task__entries", "task__completions")


def gold_rows(golds: Sequence[GoldAnswer]) -> list[GoldRow]:
    """In their order, in a query more. They come with their prompts and entries."""
    answers: dict[Any, list[list[list[str]]]] = {gold.task_id: [] for gold in golds}
    for ranking in Ranking.objects.filter(task__in=list(answers), supersedes=None):
        answers[ranking.task_id].append(ranking.shown_tiers)
    return [
        GoldRow(
            gold=gold, rail=rail_of(gold.tiers, letters=review_letters(gold.task)),
            credit=told(credit_over_answers((tiers, gold.tiers) for tiers in answers[gold.task_id])),
            num_answers=len(answers[gold.task_id]),
        )
        for gold in golds
    ]  # fmt: skip
