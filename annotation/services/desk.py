"""A rater's desk: in which campaigns work waits for her, and how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from accounts.models import User
from annotation.models import (
    Assignment,
    AssignmentState,
    Campaign,
    CampaignState,
    Cause,
    Membership,
    Standing,
    StandingChange,
)
from annotation.services.qualification import TestProgress, test_progress_of
from annotation.services.queues import num_waiting, walks_of
from annotation.services.skipped import num_skipped
from annotation.services.stream import num_ahead
from annotation.services.tariffs import stopped_among

MOST_COUNTED = 500  # tasks that wait, of one campaign: who has that much to do need not know how much more


@dataclass(frozen=True, slots=True)
class Desk:
    """One campaign as one rater finds it; `has_begun` says that a task of it is in her hands, or two.

    Where `is_more`, more wait than `num_waiting`. Where `is_at_limit`, she has ranked as many as one person may.

    `num_waiting` counts checks as work, so that the count tells nothing; of one who is tested, what is left of the test.
    """

    member: Membership
    num_mine: int
    num_waiting: int
    has_begun: bool
    is_more: bool
    is_at_limit: bool
    test: TestProgress | None  # of one who is tested

    @property
    def campaign(self) -> Campaign:
        return self.member.campaign

    @property
    def standing(self) -> str:
        return self.member.standing


def desks_of(rater: User) -> list[Desk]:
    """Those with a task in her hands first, then where most waits, then what has ended.

    Four queries, and eight more where campaigns have plans, tests, budgets or tasks that come back: as many for all of her
    campaigns as for one. None looks at more than a bounded number of slots a campaign.
    """
    members = members_of(rater)
    live = Assignment.objects.filter(rater=rater, state=AssignmentState.LIVE).order_by()
    begun = Counter(live.values_list("slot__campaign", flat=True))
    tests = test_progress_of([member for member in members if member.standing == Standing.TESTED])
    waiting = waiting_for(rater, members=[member for member in members if is_open(member)], tests=tests)
    desks = [
        desk_of(
            member, num_held=begun[member.campaign_id], waiting=waiting.get(member.campaign_id, 0),
            test=tests.get(member.pk),
        )
        for member in members
    ]  # fmt: skip
    return sorted(desks, key=lambda desk: (not desk.has_begun, -desk.num_waiting, desk.campaign.name))


def members_of(rater: User) -> list[Membership]:
    mine = Membership.objects.filter(user=rater, is_active=True).exclude(campaign__state=CampaignState.DRAFT)
    judged = StandingChange.objects.filter(membership=OuterRef("pk"), cause=Cause.TEST)
    mine = mine.annotate(was_tested=Exists(judged))  # type: ignore[no-redef]  # declared, so that others may read it
    whole = mine.select_related("campaign__quality_plan", "campaign__purse", "user")
    return list(whole.order_by("campaign__name", "campaign"))


def is_open(member: Membership) -> bool:
    return member.campaign.state == CampaignState.OPEN


def waiting_for(rater: User, *, members: Sequence[Membership], tests: dict[int, TestProgress]) -> dict[int, int]:
    """By campaign, of those that are open, what waits for her beside what she holds."""
    stopped = stopped_among([member.campaign for member in members])
    work = num_work(rater, members=[member for member in members if may_work(member)])
    checks = num_ahead([member for member in members if hasattr(member.campaign, "quality_plan")], num_work=work)
    found = {}
    for member in members:
        campaign = member.campaign_id
        if campaign in stopped:
            continue
        if member.standing == Standing.TESTED:
            found[campaign] = tests[member.pk].num - tests[member.pk].num_done
        elif member.standing == Standing.TRUSTED:
            found[campaign] = work.get(campaign, 0) + checks.get(campaign, 0)
    return found


def may_work(member: Membership) -> bool:
    return member.standing == Standing.TRUSTED and member.num_left != 0


def num_work(rater: User, *, members: Sequence[Membership]) -> dict[int, int]:
    """By campaign, tasks of work that are no secret; more than `MOST_COUNTED` where there are more."""
    campaigns = [member.campaign for member in members]
    new = num_waiting(walks_of(campaigns, rater=rater), up_to=MOST_COUNTED + 1)
    skipped = num_skipped(campaigns, rater=rater)
    return {one.pk: new.get(one.pk, 0) + skipped.get(one.pk, 0) for one in campaigns}


def desk_of(member: Membership, *, num_held: int, waiting: int, test: TestProgress | None) -> Desk:
    held = num_held if is_open(member) else 0
    left = member.num_left
    if left is not None:
        waiting = min(waiting, max(0, left - held))
    if member.standing != Standing.TESTED:  # what is left of a test counts the task in her hands
        waiting += held
    return Desk(
        member=member,
        num_mine=member.num_ranked,
        num_waiting=min(waiting, MOST_COUNTED),
        has_begun=held > 0,
        is_more=waiting > MOST_COUNTED,
        is_at_limit=is_open(member) and left == 0 and not held,
        test=test,
    )
