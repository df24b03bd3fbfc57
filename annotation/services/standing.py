"""How far raters are trusted: paused by the checks or by hand, appealed against, let go on; each change with its reason.

Her membership is locked first, in the order in which `assign` and `rank` lock, so that pausing and submitting take turns.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from accounts.errors import Conflict, NotAllowed, NotFound, UserError
from accounts.hints import hint
from accounts.models import User
from accounts.numbers import whole
from annotation.models import (
    STANDING_TRANSITIONS,
    Appeal,
    AppealState,
    Assignment,
    AssignmentState,
    Campaign,
    Cause,
    Membership,
    Ranking,
    Standing,
    StandingChange,
)
from annotation.services.evidence import evidence_of
from annotation.services.money import release
from annotation.services.queues import give_back, lock_queues
from annotation.services.texts import complaint_about
from audit.services import record

LONGEST_WORDS = 4000
HABITS_EVERY = 5  # rankings: haste and leaning read all of a rater's rankings


@dataclass(frozen=True, slots=True)
class Kind:
    """What is wrong with words of one kind."""

    empty: str
    too_long: str


REASON = Kind(gettext_noop("A reason has words."), gettext_noop("A reason has at most %(most)s characters."))
REMARK = Kind(gettext_noop("A remark has words."), gettext_noop("A remark has at most %(most)s characters."))
APPEAL = Kind(gettext_noop("An appeal has words."), gettext_noop("An appeal has at most %(most)s characters."))
ANSWER = Kind(gettext_noop("An answer has words."), gettext_noop("An answer has at most %(most)s characters."))


class Paused(NotAllowed):
    code = "paused"


class DidNotPass(NotAllowed):
    code = "test_failed"


class BadWords(UserError):
    code = "bad_words"


class NoSuchStanding(Conflict):
    code = "bad_standing"


class NoAppeal(Conflict):
    code = "no_appeal"


def refuse_work(member: Membership) -> None:
    """Raises `Paused` or `DidNotPass`, with a sentence to her."""
    name = member.campaign.name
    if member.standing == Standing.PAUSED:
        raise Paused(
            gettext("You are paused in %(campaign)s. My work says why, and there you can appeal.") % {"campaign": name}
        )
    if member.standing == Standing.FAILED:
        raise DidNotPass(
            gettext("You did not pass the test of %(campaign)s. My work shows each of its tasks with its right order.")
            % {"campaign": name}
        )


def weigh(member: Membership) -> None:
    """Pauses her where the checks decide so, in the transaction that stored her ranking; `member` is locked.

    Asks the same of the database after work and after a check, so that time tells nothing.
    """
    if member.standing != Standing.TRUSTED or (plan := member.plan) is None:
        return
    num = Ranking.objects.filter(rater=member.user_id, task__campaign=member.campaign_id, supersedes=None).count()
    evidence = evidence_of(member, plan=plan, looks_at_habits=num % HABITS_EVERY == 0)
    if evidence.reason:
        change(member, to=Standing.PAUSED, cause=Cause.CHECKS, reason=evidence.reason, by=None)


def change(member: Membership, *, to: str, cause: Cause, reason: str, by: User | None) -> StandingChange:
    """One move along `STANDING_TRANSITIONS`, kept and audited, in the caller's transaction. Raises `NoSuchStanding`.

    `reason` is kept as it is given: English, where it is not somebody's own words.
    """
    before = member.standing
    moved = 0
    if to in STANDING_TRANSITIONS[before]:
        moved = Membership.objects.filter(pk=member.pk, standing=before).update(standing=to)
    if not moved:
        raise NoSuchStanding(
            gettext("The standing of %(name)s is otherwise now. Look again.") % {"name": member.user.username}
        )
    member.standing = to
    if to == Standing.PAUSED:
        clear_desk(member)
    made = StandingChange.objects.create(
        membership=member, before=before, after=to, cause=cause, kept_reason=reason, by=by, at=timezone.now()
    )
    record(
        f"rater.{to}", actor=by, target=member.campaign, rater=member.user.username, before=before, cause=str(cause),
        reason=reason,
    )  # fmt: skip
    hint(f"campaign:{member.campaign_id}")
    return made


def clear_desk(member: Membership) -> None:
    """Gives her tasks to others, and back what was put aside for them. What she has begun is still taken when she submits."""
    live = (
        Assignment.objects.filter(rater=member.user_id, state=AssignmentState.LIVE)
        .select_related("slot")
        .order_by("pk")
    )
    held = [one for one in live if one.slot.campaign_id == member.campaign_id]
    lock_queues(one.slot for one in held)
    for one in held:
        mine = Assignment.objects.filter(pk=one.pk, state=AssignmentState.LIVE)
        if mine.update(state=AssignmentState.EXPIRED, ended_at=timezone.now()) == 1:
            give_back(one.slot, with_others=True)
            release(one)


def pause(campaign: Campaign, *, rater: User, reason: str, user: User | None) -> StandingChange:
    """By hand. Raises `BadWords` without a reason, `NotFound`, `NoSuchStanding`."""
    words = checked_words(reason, what=REASON)
    with transaction.atomic():
        member = locked(campaign, rater)
        return change(member, to=Standing.PAUSED, cause=Cause.HAND, reason=words, by=user)


def lift(campaign: Campaign, *, rater: User, user: User | None, reason: str = "") -> StandingChange:
    """Back to where she was before the pause; her test starts anew. An open appeal is granted by that."""
    with transaction.atomic():
        member = locked(campaign, rater)
        paused = last_pause(member)
        if member.standing != Standing.PAUSED or paused is None:
            raise NoSuchStanding(gettext("%(name)s is not paused.") % {"name": rater.username})
        open_one = Appeal.objects.filter(pause=paused, state=AppealState.OPEN).first()
        if open_one is not None:
            settle(open_one, to=AppealState.LIFTED, answer=reason, by=user)
        cause = Cause.APPEAL if open_one else Cause.HAND
        return change(member, to=paused.before, cause=cause, reason=reason, by=user)


def appeal(campaign: Campaign, *, rater: User, words: str) -> Appeal:
    """Once a pause. Raises `BadWords`, `NotFound`, `NoAppeal`."""
    told = checked_words(words, what=APPEAL)
    with transaction.atomic():
        member = locked(campaign, rater)
        paused = last_pause(member)
        if member.standing != Standing.PAUSED or paused is None:
            raise NoAppeal(gettext("You are not paused here."))
        if Appeal.objects.filter(pause=paused).exists():
            raise NoAppeal(gettext("You have appealed against this pause already."))
        made = Appeal.objects.create(pause=paused, words=told)
        record("appeal.made", actor=rater, target=campaign, appeal=str(made.pk))
        hint(f"campaign:{campaign.pk}")
    return made


def decide(appeal: Appeal, *, lifts: bool, answer: str, user: User) -> Appeal:
    """A reviewer's decision, once. Raises `BadWords` where it is upheld without words, `NotAllowed` on one's own, `NoAppeal`."""
    member = appeal.pause.membership
    if member.user_id == user.pk:
        raise NotAllowed(gettext("Your own appeal is for somebody else to decide."))
    if lifts:
        words = checked_words(answer, what=ANSWER, may_be_empty=True)
        with transaction.atomic():
            held = locked(member.campaign, member.user)
            if Appeal.objects.filter(pk=appeal.pk, state=AppealState.OPEN).exists():
                lift(held.campaign, rater=held.user, user=user, reason=words)
                appeal.refresh_from_db()
                return appeal
        raise NoAppeal(gettext("This appeal was decided already."))
    words = checked_words(answer, what=ANSWER)
    with transaction.atomic():
        locked(member.campaign, member.user)
        settle(appeal, to=AppealState.UPHELD, answer=words, by=user)
        hint(f"campaign:{member.campaign_id}")
    appeal.refresh_from_db()
    return appeal


def settle(appeal: Appeal, *, to: AppealState, answer: str, by: User | None) -> None:
    still = Appeal.objects.filter(pk=appeal.pk, state=AppealState.OPEN)
    if still.update(state=to, answer=answer, decided_at=timezone.now(), decided_by=by) != 1:
        raise NoAppeal(gettext("This appeal was decided already."))
    member = appeal.pause.membership
    record(f"appeal.{to}", actor=by, target=member.campaign, appeal=str(appeal.pk), rater=member.user.username)


def last_pause(member: Membership) -> StandingChange | None:
    found: StandingChange | None = member.changes.filter(after=Standing.PAUSED).first()
    return found


def locked(campaign: Campaign, rater: User) -> Membership:
    """Raises `NotFound`."""
    mine = Membership.objects.select_for_update(of=("self",)).select_related("campaign", "user")
    found = mine.filter(campaign=campaign, user=rater).first()
    if found is None:
        raise NotFound(
            gettext("%(name)s is no rater of %(campaign)s.") % {"name": rater.username, "campaign": campaign.name}
        )
    return found


def checked_words(words: str, *, what: Kind, may_be_empty: bool = False) -> str:
    told = words.replace("\r\n", "\n").strip()
    if not told and not may_be_empty:
        raise BadWords(gettext(what.empty), field="words")
    if len(told) > LONGEST_WORDS:
        raise BadWords(gettext(what.too_long) % {"most": whole(LONGEST_WORDS)}, field="words")
    if complaint := complaint_about(told):
        raise BadWords(gettext("There is %(complaint)s in it.") % {"complaint": complaint}, field="words")
    return told
