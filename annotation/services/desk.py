"""A rater's desk: in which campaigns work waits for her, and how much."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count

from accounts.models import User
from annotation.models import (
    SEEN,
    Assignment,
    AssignmentState,
    Campaign,
    CampaignState,
    Membership,
    Ranking,
    Slot,
    Standing,
)
from annotation.services.money import stopped_among
from annotation.services.qualification import test_progress
from annotation.services.stream import num_ahead


@dataclass(frozen=True, slots=True)
class Desk:
    """One campaign as one rater finds it; `has_begun` says that a task of it is in her hands, or two.

    `num_waiting` counts checks as work, so that the count tells nothing; of one who is tested, what is left of the test.
    """

    member: Membership
    num_mine: int
    num_waiting: int
    has_begun: bool

    @property
    def campaign(self) -> Campaign:
        return self.member.campaign

    @property
    def standing(self) -> str:
        return self.member.standing


def desks_of(rater: User) -> list[Desk]:
    """Those with a task in her hands first, then where most waits, then what has ended. Seven queries, and some for each test."""
    mine = Membership.objects.filter(user=rater, is_active=True).exclude(campaign__state=CampaignState.DRAFT)
    members = {member.campaign_id: member for member in mine.select_related("campaign", "user")}
    campaigns = sorted((member.campaign for member in members.values()), key=lambda one: (one.name, one.pk))
    live = Assignment.objects.filter(rater=rater, state=AssignmentState.LIVE)
    begun = Counter(live.order_by().values_list("slot__campaign", flat=True))
    seen = Assignment.objects.filter(rater=rater, state__in=SEEN).values("task")
    free = (
        Slot.objects.filter(campaign__in=campaigns, is_free=True, reserved_for=None).exclude(task__in=seen).order_by()
    )
    work = dict(free.values("campaign").annotate(n=Count("task", distinct=True)).values_list("campaign", "n"))
    checks = num_ahead(members.values(), num_work=work)
    stopped = stopped_among(campaigns)
    waiting = {
        pk: begun[pk] if pk in stopped else num_waiting(member, work=work, checks=checks, begun=begun)
        for pk, member in members.items()
    }
    ranked = Ranking.objects.filter(task__campaign__in=campaigns, rater=rater, is_live=True).order_by()
    done = dict(ranked.values("task__campaign").annotate(n=Count("pk")).values_list("task__campaign", "n"))
    desks = [
        Desk(
            member=members[campaign.pk],
            num_mine=done.get(campaign.pk, 0),
            num_waiting=is_open * waiting[campaign.pk],
            has_begun=is_open and campaign.pk in begun,
        )
        for campaign in campaigns
        for is_open in [campaign.state == CampaignState.OPEN]
    ]
    return sorted(desks, key=lambda desk: (not desk.has_begun, -desk.num_waiting, desk.campaign.name))


def num_waiting(member: Membership, *, work: dict[int, int], checks: dict[int, int], begun: Counter[int]) -> int:
    if member.standing == Standing.TRUSTED:
        return work.get(member.campaign_id, 0) + checks.get(member.campaign_id, 0) + begun[member.campaign_id]
    if member.standing == Standing.TESTED:
        progress = test_progress(member)
        return progress.num - progress.num_done
    return 0
