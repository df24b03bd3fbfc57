"""Rankings: submitted once however often they are sent, kept even when late, corrected by a new row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from accounts.errors import Conflict, NotFound
from accounts.hints import hint
from accounts.models import User
from accounts.prepared import Changes, prepared, prepared_update
from annotation.attributes import attributes_of
from annotation.models import HOLDS_SLOT, Assignment, AssignmentState, Completion, Membership, Ranking, Slot
from annotation.services.disagreement import note_agreement
from annotation.services.extra import add_if_they_differ, lock_task
from annotation.services.judge import Submission, judgement
from annotation.services.leases import AFTER, end, own
from annotation.services.money import settle
from annotation.services.qualification import judge
from annotation.services.queues import lock_queue, take_slot
from annotation.services.standing import weigh

OTHER_RANKING = gettext_noop("This client_uuid came with another ranking before. Make a new one for a new ranking.")


class AlreadyRanked(Conflict):
    code = "already_ranked"


class UuidReused(Conflict):
    code = "client_uuid_reused"


class Superseded(Conflict):
    code = "superseded"


def submit_ranking(assignment: Assignment, *, rater: User, submission: Submission) -> Ranking:
    """Stores a ranking and ends the lease. The same submission again, or a double click, returns the stored row.

    Late, when the lease was given away: takes a slot of the task that is free, else is kept as surplus. Raises `NotFound`,
    `BadRanking`, `UuidReused` (that uuid came with another body), `AlreadyRanked` (another order was submitted), `Conflict`.
    """
    length = num_characters(assignment)  # before anything is locked: what was shown never changes
    try:
        with transaction.atomic():
            found = own(assignment, rater=rater)
            judged = judged_of(found, submission)
            if known := replayed(found, submission.client_uuid, judged=judged):
                return known
            lock_task(found, is_new=True)
            was_live = found.state == AssignmentState.LIVE
            hold(found)
            seconds = capped(submission.seconds, assignment=found)
            cost = settle(found, was_live=was_live, seconds=seconds)
            made = store(found, submission, judged=judged, num_characters=length, seconds=seconds, cost=cost)
            add_if_they_differ(found)
            if found.member is not None:
                judge(found.member)
                weigh(found.member)
            return made
    except IntegrityError as error:
        if Ranking.objects.filter(client_uuid=submission.client_uuid).exists():
            raise UuidReused(gettext(OTHER_RANKING)) from error
        raise


def judged_of(assignment: Assignment, submission: Submission) -> dict[str, Any]:
    attributes = attributes_of(assignment.slot.campaign.attributes)
    return judgement(submission, names=assignment.letters(), attributes=attributes)


def replayed(assignment: Assignment, client_uuid: UUID, *, judged: dict[str, Any]) -> Ranking | None:
    """The stored row of this submission, if it has come before."""
    if assignment.state == AssignmentState.LIVE:  # none has: another ranking's uuid is refused where the row is stored
        return None
    known = Ranking.objects.filter(client_uuid=client_uuid).first()
    if known is not None:
        if known.assignment_id != assignment.pk or known.body != judged:
            raise UuidReused(gettext(OTHER_RANKING))
        return known
    if assignment.state not in (AssignmentState.DONE, AssignmentState.SURPLUS):
        return None
    stored = Ranking.objects.get(assignment=assignment, is_live=True)
    if stored.body != judged:  # a second tab: which of the two she means, only she can say
        raise AlreadyRanked(gettext("You have submitted another order of this task. Correct that one if it is wrong."))
    return stored


def hold(assignment: Assignment) -> None:
    """Marks the assignment done on a slot of its own, or surplus where none is left."""
    if assignment.state in (AssignmentState.SKIPPED, AssignmentState.PASSED):
        raise Conflict(gettext(AFTER[assignment.state]), code="skipped")
    fields: dict[str, Any] = {"ended_at": timezone.now(), "draft": None, "draft_at": None}
    if assignment.state == AssignmentState.LIVE:
        changed = done_in_time(assignment.pk, fields["ended_at"])
        assert changed == 1  # it is locked, and was read since
        return
    give_back_other(assignment)
    lock_queue(assignment.slot)
    for_her = Q(reserved_for=None) | Q(reserved_for=assignment.rater_id)
    free = Slot.objects.filter(for_her, task=assignment.task_id, is_free=True).order_by("number")
    slot = take_slot(free)
    if slot is None:
        move(assignment, to=AssignmentState.SURPLUS, **fields)
    else:
        move(assignment, to=AssignmentState.DONE, slot=slot, **fields)


@prepared_update
def done_in_time(assignment: UUID, ended_at: datetime) -> Changes:
    fields = {"state": AssignmentState.DONE, "ended_at": ended_at, "draft": None, "draft_at": None}
    return Assignment.objects.filter(pk=assignment, state=AssignmentState.LIVE), fields


def move(assignment: Assignment, *, to: AssignmentState, **fields: Any) -> None:
    changed = Assignment.objects.filter(pk=assignment.pk, state=assignment.state).update(state=to, **fields)
    assert changed == 1  # it is locked, and was read since


def give_back_other(assignment: Assignment) -> None:
    """She may have been given the task anew after the first lease ran out: what she submits ends both."""
    others = Assignment.objects.filter(task=assignment.task_id, rater=assignment.rater_id).exclude(pk=assignment.pk)
    for other in others.select_for_update().filter(state__in=[*HOLDS_SLOT, AssignmentState.SURPLUS]):
        if other.state == AssignmentState.PASSED:
            raise Conflict(gettext(AFTER[AssignmentState.PASSED]), code="skipped")
        if other.state != AssignmentState.LIVE:
            raise AlreadyRanked(gettext("You have ranked this task already. Correct that ranking if it is wrong."))
        end(other, to=AssignmentState.EXPIRED)


def store(
    assignment: Assignment,
    submission: Submission,
    *,
    judged: dict[str, Any],
    num_characters: int,
    seconds: float | None,
    cost: int = 0,
    supersedes: Ranking | None = None,
) -> Ranking:
    made = write(
        assignment, body=judged, client_uuid=submission.client_uuid, guideline_id=assignment.guideline_id, supersedes=supersedes,
        num_characters=num_characters, seconds=seconds, cost=cost, is_simulated=assignment.rater.is_simulated,
    )  # fmt: skip
    hint(f"campaign:{assignment.slot.campaign_id}")
    return made


def write(assignment: Assignment, *, body: dict[str, Any], **fields: Any) -> Ranking:
    ranking, edit = drawn_up(assignment, body=body, **fields)
    if edit is not None:
        edit.save(force_insert=True)
    ranking.save(force_insert=True)
    if ranking.supersedes_id is None:
        counted(assignment.slot.campaign_id, assignment.rater_id)
    note_agreement(ranking)
    return ranking


@prepared_update
def counted(campaign: int, rater: int) -> Changes:
    return Membership.objects.filter(campaign=campaign, user=rater), {"num_ranked": F("num_ranked") + 1}


def drawn_up(assignment: Assignment, *, body: dict[str, Any], **fields: Any) -> tuple[Ranking, Completion | None]:
    """The row, not saved, and the completion of a better version, which leads the order as a tier of its own."""
    row = {name: value for name, value in body.items() if name != "edit"}
    edit = None
    if told := body["edit"]:
        edit = Completion(
            prompt_id=assignment.task.prompt_id, parent_id=told["of"], author=assignment.rater, text=told["text"]
        )
        row |= {"tiers": [[str(edit.pk)], *body["tiers"]], "strengths": [1, *body["strengths"]]}
    made = Ranking(
        assignment=assignment, task_id=assignment.task_id, rater_id=assignment.rater_id, edit=edit, **row, **fields
    )
    return made, edit


def num_characters(assignment: Assignment) -> int:
    return sum(lengths_of([UUID(pk) for pk in assignment.order]))


@prepared
def lengths_of(completions: list[UUID]) -> QuerySet[Completion, int]:
    lengths = Completion.objects.filter(pk__in=completions).order_by().annotate(length=Length("text"))
    return lengths.values_list("length", flat=True)


def capped(seconds: float | None, *, assignment: Assignment) -> float | None:
    """The browser's word, no more than the time since the lease began: its clock is only advice."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), (timezone.now() - assignment.leased_at).total_seconds())


def correct_ranking(ranking: Ranking, *, rater: User, submission: Submission) -> Ranking:
    """A new row that supersedes `ranking`; the same correction sent again returns it. It costs nothing anew.

    Raises `NotFound`, `BadRanking`, `UuidReused`, `Superseded` (it was corrected by something else meanwhile).
    """
    with transaction.atomic():
        mine = Ranking.objects.select_for_update().filter(pk=ranking.pk, rater=rater).first()
        if mine is None:
            raise NotFound(gettext("There is no such ranking of yours."), code="no_ranking")
        assignment = own(mine.own_assignment, rater=rater)
        judged = judged_of(assignment, submission)
        known = Ranking.objects.filter(client_uuid=submission.client_uuid).first()
        if known is not None:
            if known.supersedes_id != mine.pk or known.body != judged:
                raise UuidReused(
                    gettext("This client_uuid came with another ranking before. Make a new one for a correction.")
                )
            return known
        if Ranking.objects.filter(pk=mine.pk, is_live=True).update(is_live=False) != 1:
            raise Superseded(gettext("This ranking was corrected already. Correct the newer one."))
        lock_task(assignment)
        seconds = capped(submission.seconds, assignment=assignment)
        length = num_characters(assignment)
        made = store(assignment, submission, judged=judged, num_characters=length, seconds=seconds, supersedes=mine)
        add_if_they_differ(assignment)
        return made


def submit_instead(
    assignment: Assignment, *, rater: User, submission: Submission, instead_of: Sequence[UUID]
) -> Ranking:
    """Submits in place of what the browser sent, or may have sent, under the uuids `instead_of`.

    A browser whose answer was lost can't know whether it arrived: if so, that one is corrected, else this is the first.
    Raises what `submit_ranking` and `correct_ranking` raise.
    """
    if not instead_of:
        return submit_ranking(assignment, rater=rater, submission=submission)
    with transaction.atomic():
        found = own(assignment, rater=rater)  # locked: what is under way arrives before or after, and not in between
        mine = Ranking.objects.filter(assignment=found, rater=rater)
        known = mine.filter(client_uuid=submission.client_uuid).first()
        before = known.supersedes if known else mine.filter(client_uuid__in=instead_of, is_live=True).first()
        if before is None:
            return submit_ranking(found, rater=rater, submission=submission)
        return correct_ranking(before, rater=rater, submission=submission)
