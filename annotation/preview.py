"""A task as a rater would find it, for those who run the campaign: nothing is leased, nothing is kept."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace

from django.urls import reverse
from django.utils import timezone

from annotation.models import Assignment, Campaign, RankingTask, Slot, TaskKind
from annotation.pages import TaskPage, task_page


def sample_task(campaign: Campaign, *, after: uuid.UUID | None = None) -> RankingTask | None:
    """The task that a rater would get, or would get after that one; any where no place is free; None where there is none."""
    tasks = RankingTask.objects.filter(campaign=campaign, kind=TaskKind.WORK).select_related("prompt", "campaign")
    free = Slot.objects.filter(campaign=campaign, is_free=True, reserved_for=None, task__kind=TaskKind.WORK)
    free = free.order_by("order_key", "pk")
    key = free.filter(task=after).values_list("order_key", flat=True).first() if after is not None else None
    following = free.exclude(task=after).filter(order_key__gt=key).first() if key is not None else None
    slot = following or free.first()
    return tasks.get(pk=slot.task_id) if slot else tasks.first()


def as_leased(task: RankingTask) -> Assignment:
    """What a lease of it would be, unsaved. The order is random, but the same whenever this task is previewed."""
    order = [str(pk) for pk in task.entries.order_by("index").values_list("completion_id", flat=True)]
    random.Random(str(task.pk)).shuffle(order)
    now = timezone.now()
    return Assignment(
        task=task, order=order, guideline=task.campaign.guidelines.first(), leased_at=now, lease_until=now
    )


def preview_page(task: RankingTask) -> TaskPage:
    """Every address that a rater's page would write to leads to the preview, or nowhere."""
    campaign = task.campaign
    here = [campaign.slug, task.pk]
    page = task_page(as_leased(task), campaign=campaign)
    return replace(
        page,
        submit_url=reverse("campaign_preview_task", args=here),
        compare_url=reverse("campaign_preview_compare", args=here),
        difference_url=reverse("campaign_preview_difference", args=here),
        draft_url="",
        renew_url="",
        ahead_url="",
        give_back_url="",
        lease_seconds=0,
    )
