"""Giving out: who ranks what next. A task has `overlap` slots, and what is taken is a slot, so it is never over-assigned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from accounts.errors import Conflict, NotAllowed
from accounts.hints import hint
from accounts.models import User
from accounts.numbers import whole as written
from accounts.prepared import prepared
from annotation.models import (
    Assignment,
    AssignmentState,
    Campaign,
    CampaignState,
    Guideline,
    Membership,
    Slot,
    Standing,
    TaskCompletion,
)
from annotation.services.leases import expire_leases, members_in, put_off
from annotation.services.money import reserve
from annotation.services.qualification import next_test
from annotation.services.queues import next_slot, take_slot
from annotation.services.skipped import skipped_slot
from annotation.services.standing import refuse_work
from annotation.services.stream import checks_due, lay_out, lot

COMES_BACK = (AssignmentState.EXPIRED, AssignmentState.SKIPPED)  # to her who had it: in the same order


class NotARater(NotAllowed):
    code = "not_a_rater"


class NotOpen(Conflict):
    code = "campaign_not_open"


class LimitReached(Conflict):
    code = "limit_reached"


def lease_next(campaign: Campaign, *, rater: User) -> Assignment | None:
    """The task that she has on her desk, else the next one with a free slot; None where nothing waits for her.

    She never gets a task that she has ranked, nor one that she has skipped, unless the campaign brings those back to her;
    one that ran out on her comes back in the same order, with her draft. Raises `NotARater`, `NotOpen`, `LimitReached`,
    `BudgetSpent`, `Paused`, `DidNotPass`, `TooFewTests`.
    """
    made = lease(campaign, rater=rater)
    if isinstance(made, Membership):
        refuse_work(made)  # once what decided it is committed
        return None
    return made


def lease(campaign: Campaign, *, rater: User) -> Assignment | Membership | None:
    """What `lease_next` gives; her membership where she gets no work."""
    expire_leases(campaign=campaign)
    with transaction.atomic():
        member = check_may_rank(campaign, rater=rater)
        if member.standing in (Standing.PAUSED, Standing.FAILED):
            return member
        for held in on_desk(member):  # of two, the second was fetched ahead (`ahead.lease_ahead`)
            if put_off(held, campaign=member.campaign):
                return whole(held.pk)
        made = deal(member)
        if member.standing == Standing.FAILED:
            return member
    return made


def on_desk(member: Membership) -> list[Assignment]:
    """What she holds in the campaign, in the order in which she got it."""
    # Hers are few, in all campaigns together: asked for those of one campaign, the database may begin with all of its slots,
    # and asked for an order, with all that she has ranked.
    held = [one for one in live_of(member.user_id) if one.slot.campaign_id == member.campaign_id]
    return sorted(held, key=lambda one: (one.leased_at, one.pk))


@prepared
def live_of(rater: int) -> QuerySet[Assignment]:
    return Assignment.objects.filter(rater=rater, state=AssignmentState.LIVE).select_related("slot").order_by()


def deal(member: Membership) -> Assignment | None:
    """Leases her one more task, within the caller's transaction; None where nothing waits for her. Raises `LimitReached`."""
    check_limit(member)
    slot = slot_for(member)
    if slot is None or member.standing == Standing.FAILED:
        return None
    made = assign(slot, member=member)
    hint(f"campaign:{member.campaign_id}")
    return made


def slot_for(member: Membership) -> Slot | None:
    """Of the test where she takes it; else a check whose place has come, else work, else what she skipped."""
    if member.standing == Standing.TESTED:
        test = next_test(member)
        if test is not None:
            return take_slot(Slot.objects.filter(pk=test.pk, is_free=True).select_related("task__prompt"))
    if member.standing != Standing.TRUSTED:
        return None
    campaign, rater = member.campaign, member.user
    check = None
    if member.plan is not None:
        lay_out(member)
        check = take_slot(checks_due(member))
    return check or next_slot(campaign, rater=rater) or skipped_slot(campaign, rater=rater)


def check_may_rank(campaign: Campaign, *, rater: User) -> Membership:
    """Locks her membership for the transaction, so that two clicks of one rater are answered with one task."""
    member = members_in.first(campaign.pk, rater.pk)
    if member is None or not member.is_active or not rater.is_active:
        raise NotARater(gettext("You are not a rater of %(campaign)s.") % {"campaign": campaign.name})
    if member.campaign.state != CampaignState.OPEN:
        raise NotOpen(gettext("%(campaign)s is not open to raters now.") % {"campaign": campaign.name})
    member.user = rater  # known: not asked of the database again
    return member


def check_limit(member: Membership) -> None:
    if member.num_left == 0:
        raise LimitReached(
            ngettext(
                "You have ranked %(num)s task of %(campaign)s: as many as one person may here.",
                "You have ranked %(num)s tasks of %(campaign)s: as many as one person may here.",
                member.num_ranked,
            )
            % {"num": written(member.num_ranked), "campaign": member.campaign.name}
        )


def assign(slot: Slot, *, member: Membership) -> Assignment:
    campaign, rater = member.campaign, member.user
    before = last_of(slot.task_id, rater.pk)
    texts = {str(pk): text for pk, text in texts_of(slot.task_id)}
    made = Assignment(
        slot=slot, task=slot.task, rater=rater, order=before.order if before else shuffled(slot, texts=texts),
        guideline=newest_guideline.first(campaign.pk), tariff=reserve(campaign, rater=rater),
        leased_at=timezone.now(), lease_until=member.asked_at + timedelta(minutes=campaign.lease_minutes),
        draft=before.draft if before else None, draft_at=before.draft_at if before else None,
    )  # fmt: skip
    made.save(force_insert=True)
    made.slot.campaign = made.task.campaign = campaign
    made.texts = texts
    return made


def last_of(task: UUID, rater: int) -> Assignment | None:
    """Hers of a task that comes back to her, as she had it last."""
    return next((one for one in before_of(task, rater) if one.state in COMES_BACK), None)


@prepared
def before_of(task: UUID, rater: int) -> QuerySet[Assignment]:
    hers = Assignment.objects.filter(task=task, rater=rater).order_by("-leased_at", "-pk")
    return hers.only("state", "order", "draft", "draft_at")


@prepared
def texts_of(task: UUID) -> QuerySet[TaskCompletion, tuple[UUID, str]]:
    """Completion and text, in the order in which they were made."""
    return TaskCompletion.objects.filter(task=task).order_by("index").values_list("completion_id", "completion__text")


@prepared
def newest_guideline(campaign: int) -> QuerySet[Guideline]:
    return Guideline.objects.filter(campaign=campaign).order_by("-number")[:1]


def shuffled(slot: Slot, *, texts: Iterable[str]) -> list[str]:
    """A random order, stored with the assignment, so that a place says nothing about who wrote the text.

    What comes to a rater again comes in another order than before.
    """
    order = list(texts)
    lot.shuffle(order)
    if slot.reserved_for_id is not None and slot.task.repeats_id:
        before = Assignment.objects.filter(task=slot.task.repeats_id, rater=slot.reserved_for_id)
        orders = list(before.values_list("order", flat=True))
        while order in orders:
            lot.shuffle(order)
    return order


def whole(pk: Any) -> Assignment:
    return Assignment.objects.select_related(
        "task__prompt", "task__campaign", "guideline", "slot__campaign", "rater"
    ).get(pk=pk)
