"""The task after the one in hand, leased before it is asked for, so that it can be on the screen at once."""

from __future__ import annotations

from django.db import transaction

from accounts.hints import hint
from accounts.models import User
from annotation.models import Assignment, AssignmentState, Standing
from annotation.services.assign import check_may_rank, deal, on_desk, whole
from annotation.services.leases import end, expire_leases, own, put_off


def lease_ahead(assignment: Assignment, *, rater: User) -> Assignment | None:
    """The task that she gets after `assignment`, under a lease of its own; the same one however often it is asked for.

    She holds two tasks of a campaign at most: this makes the second, on a slot like any other. None where nothing more
    waits for her, or where `assignment` is not in her hands any more. Raises `NotARater`, `NotOpen`.
    """
    expire_leases(campaign=assignment.task.campaign)
    with transaction.atomic():
        member = check_may_rank(assignment.task.campaign, rater=rater)
        if member.standing not in (Standing.TRUSTED, Standing.TESTED):
            return None
        held = on_desk(member)
        if assignment.pk not in [one.pk for one in held]:
            return None
        for other in held:
            if other.pk != assignment.pk and put_off(other, campaign=member.campaign):
                return whole(other.pk)
        if member.num_left is not None and member.num_left <= len(held):
            return None
        return deal(member)


def give_back(assignment: Assignment, *, rater: User) -> bool:
    """Frees the slot of a task that she never began, since she leaves; she may get it again, in the same order.

    False where it stays hers: she has begun it, or it is no longer leased.
    """
    with transaction.atomic():
        found = own(assignment, rater=rater)
        if found.state != AssignmentState.LIVE or found.draft is not None:
            return False
        end(found, to=AssignmentState.EXPIRED)
        hint(f"campaign:{found.slot.campaign_id}")
    return True
