"""A lease in its rater's hands: hers and nobody else's, put off, drafted in, skipped, and ended when its time is over."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from accounts.clock import in_seconds
from accounts.errors import Conflict, NotFound, UserError
from accounts.hints import hint
from accounts.models import User
from accounts.prepared import prepared
from annotation.models import (
    ASSIGNMENT_TRANSITIONS,
    HOLDS_SLOT,
    Assignment,
    AssignmentState,
    Campaign,
    Membership,
    SkipMode,
)
from annotation.services.money import release
from annotation.services.qualification import judge
from annotation.services.queues import give_back, lock_queues
from annotation.services.texts import complaint_about
from registry.services.schemas import canonical

LARGEST_DRAFT = 256 * 1024  # bytes: the longest better version fits, in any script
LONGEST_REASON = 200


class LeaseLost(Conflict):
    code = "lease_lost"


class NeedsReason(UserError):
    code = "reason_needed"


class BadDraft(UserError):
    code = "bad_draft"


def members() -> QuerySet[Membership]:
    """To be locked, with what giving out and taking in ask of a campaign."""
    hers = Membership.objects.select_for_update(of=("self",)).order_by()
    return hers.select_related("campaign__quality_plan", "campaign__purse").annotate(asked_at=Now())  # type: ignore[no-redef]


@prepared
def members_in(campaign: int, rater: int) -> QuerySet[Membership]:
    return members().filter(campaign=campaign, user=rater)


@prepared
def members_for(task: UUID, rater: int) -> QuerySet[Membership]:
    return members().filter(campaign__tasks=task, user=rater)


@prepared
def held_by(rater: int, assignment: UUID) -> QuerySet[Assignment]:
    mine = Assignment.objects.select_for_update(of=("self",)).select_related("slot")
    return mine.filter(pk=assignment, rater=rater).order_by()


def own(assignment: Assignment, *, rater: User) -> Assignment:
    """The assignment as it is now, locked for the transaction. Raises `NotFound` where it is not hers."""
    # Her membership first, in the order in which `lease_next` locks, so that what one rater does comes one after another.
    member = members_for.first(assignment.task_id, rater.pk)
    found = held_by.first(rater.pk, assignment.pk)
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


def late_leases() -> QuerySet[Assignment]:
    return Assignment.objects.filter(state=AssignmentState.LIVE, lease_until__lt=Now()).order_by()


@prepared
def run_out() -> QuerySet[Assignment, UUID]:
    return late_leases().values_list("pk", flat=True)


def expire_leases(*, campaign: Campaign | None = None) -> int:
    """Gives back the slots of leases that ran out, of one campaign or of all; says of how many."""
    if not (some := run_out()):  # by an index that has none but these
        return 0
    late = (
        late_leases().filter(pk__in=some).order_by("slot__queue", "pk")
    )  # in one order, as all who lock several queues
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


def lease_end(campaign: Campaign) -> Any:
    return in_seconds(60 * campaign.lease_minutes)
