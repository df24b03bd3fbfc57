"""Leases: who ranks what, for how long. A task has `overlap` slots, and what is taken is a slot, so it is never over-assigned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, ngettext

from accounts.clock import in_seconds
from accounts.errors import Conflict, NotAllowed, NotFound, UserError
from accounts.hints import hint
from accounts.models import User
from accounts.numbers import whole as written
from annotation.models import (
    ASSIGNMENT_TRANSITIONS,
    HOLDS_SLOT,
    Assignment,
    AssignmentState,
    Campaign,
    CampaignState,
    Membership,
    SkipMode,
    Slot,
    Standing,
    TaskCompletion,
)
from annotation.services.money import release, reserve
from annotation.services.qualification import judge, next_test
from annotation.services.queues import give_back, lock_queues, next_slot, take_slot
from annotation.services.skipped import skipped_slot
from annotation.services.standing import refuse_work
from annotation.services.stream import checks_due, lay_out, lot
from annotation.services.texts import complaint_about
from registry.services.schemas import canonical

LARGEST_DRAFT = 256 * 1024  # bytes: the longest better version fits, in any script
LONGEST_REASON = 200
COMES_BACK = (AssignmentState.EXPIRED, AssignmentState.SKIPPED)  # to her who had it: in the same order


class NotARater(NotAllowed):
    code = "not_a_rater"


class NotOpen(Conflict):
    code = "campaign_not_open"


class LimitReached(Conflict):
    code = "limit_reached"


class LeaseLost(Conflict):
    code = "lease_lost"


class NeedsReason(UserError):
    code = "reason_needed"


class BadDraft(UserError):
    code = "bad_draft"


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
    live = Assignment.objects.filter(state=AssignmentState.LIVE).select_related("slot").order_by()
    held = [one for one in live.filter(rater=member.user_id) if one.slot.campaign_id == member.campaign_id]
    return sorted(held, key=lambda one: (one.leased_at, one.pk))


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
    member = next(iter(members(rater).filter(campaign=campaign, is_active=True)), None)
    if member is None or not rater.is_active:
        raise NotARater(gettext("You are not a rater of %(campaign)s.") % {"campaign": campaign.name})
    if member.campaign.state != CampaignState.OPEN:
        raise NotOpen(gettext("%(campaign)s is not open to raters now.") % {"campaign": campaign.name})
    member.user = rater  # known: not asked of the database again
    return member


def members(rater: User) -> QuerySet[Membership]:
    """Hers, to be locked, with what giving out and taking in ask of a campaign."""
    hers = Membership.objects.select_for_update(of=("self",)).filter(user=rater)
    return hers.select_related("campaign__quality_plan", "campaign__purse").annotate(asked_at=Now())  # type: ignore[no-redef]


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
    before = Assignment.objects.filter(task=slot.task_id, rater=rater, state__in=COMES_BACK).first()
    texts = texts_of(slot.task_id)
    made = Assignment(
        slot=slot, task=slot.task, rater=rater, order=before.order if before else shuffled(slot, texts=texts),
        guideline=campaign.guidelines.first(), tariff=reserve(campaign, rater=rater),
        leased_at=timezone.now(), lease_until=member.asked_at + timedelta(minutes=campaign.lease_minutes),
        draft=before.draft if before else None, draft_at=before.draft_at if before else None,
    )  # fmt: skip
    made.save(force_insert=True)
    made.slot.campaign = made.task.campaign = campaign
    made.texts = texts
    return made


def texts_of(task: Any) -> dict[str, str]:
    """Completion id -> text, in the order in which they were made."""
    entries = TaskCompletion.objects.filter(task=task).order_by("index")
    return {str(pk): text for pk, text in entries.values_list("completion_id", "completion__text")}


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


def lease_end(campaign: Campaign) -> Any:
    return in_seconds(60 * campaign.lease_minutes)


def whole(pk: Any) -> Assignment:
    return Assignment.objects.select_related(
        "task__prompt", "task__campaign", "guideline", "slot__campaign", "rater"
    ).get(pk=pk)


def expire_leases(*, campaign: Campaign | None = None) -> int:
    """Gives back the slots of leases that ran out, of one campaign or of all; says of how many."""
    late = Assignment.objects.filter(state=AssignmentState.LIVE, lease_until__lt=Now()).order_by()
    if not (some := list(late.values_list("pk", flat=True))):  # by an index that has none but these
        return 0
    late = late.filter(pk__in=some).order_by("slot__queue", "pk")  # in one order, as all who lock several queues
    if campaign is not None:
        late = late.filter(slot__campaign=campaign)
    with transaction.atomic():
        found = list(late.select_for_update(skip_locked=True, of=("self",)).select_related("slot"))
        lock_queues(assignment.slot for assignment in found)  # before any purse: who holds a queue may wait for that
        ended = [assignment for assignment in found if end(assignment, to=AssignmentState.EXPIRED)]
        for changed in {assignment.slot.campaign_id for assignment in ended}:
            hint(f"campaign:{changed}")
    return len(ended)


def end(assignment: Assignment, *, to: AssignmentState, **fields: Any) -> bool:
    """Ends a lease and frees its slot, where `ASSIGNMENT_TRANSITIONS` has that; false where somebody was faster."""
    froms = [state for state, targets in ASSIGNMENT_TRANSITIONS.items() if to in targets]
    assert assignment.state in froms
    mine = Assignment.objects.filter(pk=assignment.pk, state=assignment.state)
    if mine.update(state=to, ended_at=timezone.now(), **fields) != 1:
        return False
    if assignment.state == AssignmentState.LIVE:
        if to not in HOLDS_SLOT:
            give_back(assignment.slot, with_others=to == AssignmentState.EXPIRED)
        release(assignment)
    return True


def put_off(assignment: Assignment, *, campaign: Campaign) -> bool:
    """False where the lease has ended meanwhile."""
    live = Assignment.objects.filter(pk=assignment.pk, state=AssignmentState.LIVE)
    return live.update(lease_until=lease_end(campaign)) == 1


def own(assignment: Assignment, *, rater: User) -> Assignment:
    """The assignment as it is now, locked for the transaction. Raises `NotFound` where it is not hers."""
    # Her membership first, in the order in which `lease_next` locks, so that what one rater does comes one after another.
    member = next(iter(members(rater).filter(campaign__tasks=assignment.task_id)), None)
    mine = Assignment.objects.select_for_update(of=("self",)).select_related("slot")
    found = next(iter(mine.filter(pk=assignment.pk, rater=rater).order_by()), None)
    if found is None:
        raise NotFound(gettext("There is no such task on your desk."), code="no_assignment")
    found.rater, found.member = rater, member  # known: not asked of the database again
    if member is not None:
        member.user, found.slot.campaign = rater, member.campaign
    return found


def renew(assignment: Assignment, *, rater: User) -> Assignment:
    """Puts off the end of a lease. Raises `LeaseLost` where it was given away, submitted or skipped already."""
    with transaction.atomic():
        found = own(assignment, rater=rater)
        if found.state != AssignmentState.LIVE:
            raise LeaseLost(gettext(AFTER[found.state]), is_over=found.state != AssignmentState.EXPIRED)
        found.lease_until = lease_end(found.slot.campaign)
        found.save(update_fields=["lease_until"])
        found.refresh_from_db(fields=["lease_until"])
    return found


AFTER: dict[str, str] = {
    AssignmentState.EXPIRED: gettext_noop(
        "This task went back after a long pause. Your ranking is still taken when you submit it."
    ),
    AssignmentState.DONE: gettext_noop("You have submitted this task already."),
    AssignmentState.SURPLUS: gettext_noop("You have submitted this task already."),
    AssignmentState.SKIPPED: gettext_noop("You have skipped this task."),
    AssignmentState.PASSED: gettext_noop("You have skipped this task."),
}


def save_draft(assignment: Assignment, *, rater: User, draft: dict[str, Any]) -> Assignment:
    """Keeps what she has so far, on a task that ran out too. Raises `LeaseLost` once it is submitted or skipped."""
    if not isinstance(draft, dict):
        raise BadDraft(gettext("A draft is an object."))
    if complaint := complaint_about(draft):
        raise BadDraft(gettext("There is %(complaint)s in the draft.") % {"complaint": complaint})
    if len(canonical(draft)) > LARGEST_DRAFT:
        raise BadDraft(gettext("A draft has at most %(most)s KiB.") % {"most": LARGEST_DRAFT // 1024})
    with transaction.atomic():
        found = own(assignment, rater=rater)
        if found.state not in (AssignmentState.LIVE, AssignmentState.EXPIRED):
            raise LeaseLost(gettext(AFTER[found.state]))
        found.draft, found.draft_at = draft, timezone.now()
        found.save(update_fields=["draft", "draft_at"])
    return found


def skip(assignment: Assignment, *, rater: User, reason: str = "") -> Assignment:
    """Gives a task back, or ends its slot where the campaign counts that as done. Skipping twice is skipping once.

    Raises `NeedsReason` where the campaign wants one, `LeaseLost`.
    """
    reason = reason.replace("\x00", "").strip()[:LONGEST_REASON]
    with transaction.atomic():
        found = own(assignment, rater=rater)
        if found.state in (AssignmentState.SKIPPED, AssignmentState.PASSED):
            return found
        if AssignmentState.SKIPPED not in ASSIGNMENT_TRANSITIONS[found.state]:
            raise LeaseLost(gettext(AFTER[found.state]))
        campaign = found.slot.campaign
        if campaign.skip_needs_reason and not reason:
            raise NeedsReason(
                gettext("Say why you skip a task of %(campaign)s.") % {"campaign": campaign.name}, field="reason"
            )
        is_work = found.slot.reserved_for_id is None  # a check ends as ever, and nobody sees a difference
        counts = is_work and campaign.skip_mode == SkipMode.DONE and found.state == AssignmentState.LIVE
        to = AssignmentState.PASSED if counts else AssignmentState.SKIPPED
        end(found, to=to, skip_reason=reason, draft=None, draft_at=None)
        if found.member is not None:
            judge(found.member)
        hint(f"campaign:{found.slot.campaign_id}")
        found.refresh_from_db()
    return found
