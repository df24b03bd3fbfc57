"""What a rater skipped, where the campaign brings it back to her once nothing else waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, QuerySet

from accounts.models import User
from annotation.models import HOLDS_SLOT, Assignment, AssignmentState, Campaign, SkipMode, Slot
from annotation.services.queues import free_slots, take_slot


def skipped_slot(campaign: Campaign, *, rater: User) -> Slot | None:
    """Takes a slot of the task that she skipped longest ago, where the campaign brings those back and one is left."""
    for task in skipped_tasks(campaign, rater=rater):
        if slot := take_slot(free_slots().filter(task=task).order_by("number")):
            return slot
    return None


def skipped_tasks(campaign: Campaign, *, rater: User) -> list[Any]:
    """Ids of those that come back to her once nothing else waits, the longest skipped first."""
    if campaign.skip_mode != SkipMode.LATER:
        return []
    left = skipped_among([campaign], rater=rater)
    return list(left.values("task").annotate(at=Max("ended_at")).order_by("at", "task").values_list("task", flat=True))


def num_skipped(campaigns: Iterable[Campaign], *, rater: User) -> dict[int, int]:
    """By campaign id, how many `skipped_tasks` there are; one query, where a campaign brings them back."""
    later = [campaign for campaign in campaigns if campaign.skip_mode == SkipMode.LATER]
    if not later:
        return {}
    left = skipped_among(later, rater=rater).values("slot__campaign").annotate(num=Count("task", distinct=True))
    return dict(left.values_list("slot__campaign", "num"))


def skipped_among(campaigns: Iterable[Campaign], *, rater: User) -> QuerySet[Assignment]:
    mine = Assignment.objects.filter(rater=rater, slot__campaign__in=campaigns, state=AssignmentState.SKIPPED)
    held = Assignment.objects.filter(
        task=OuterRef("task"), rater=rater, state__in=[*HOLDS_SLOT, AssignmentState.SURPLUS]
    )
    return mine.filter(Exists(free_slots().filter(task=OuterRef("task"))), ~Exists(held)).order_by()
