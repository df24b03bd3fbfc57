"""A rater's desk: in which campaigns work waits for her, and how much."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from accounts.models import User
from annotation.models import Assignment, AssignmentState, Campaign, CampaignState, Ranking, Slot
from annotation.services.assign import SEEN
from annotation.services.money import stopped_among


@dataclass(frozen=True, slots=True)
class Desk:
    """One campaign as one rater finds it; `has_begun` says that a task of it is in her hands."""

    campaign: Campaign
    num_mine: int
    num_waiting: int
    has_begun: bool


def desks_of(rater: User) -> list[Desk]:
    """Those with a task in her hands first, then where most waits, then what has ended. Five queries."""
    mine = Campaign.objects.filter(membership__user=rater, membership__is_active=True)
    campaigns = list(mine.exclude(state=CampaignState.DRAFT).order_by("name", "pk"))
    live = Assignment.objects.filter(rater=rater, state=AssignmentState.LIVE)
    begun = set(live.values_list("slot__campaign", flat=True))
    seen = Assignment.objects.filter(rater=rater, state__in=SEEN).values("task")
    free = Slot.objects.filter(campaign__in=campaigns, is_free=True).exclude(task__in=seen).order_by()
    waiting = dict(free.values("campaign").annotate(n=Count("task", distinct=True)).values_list("campaign", "n"))
    ranked = Ranking.objects.filter(task__campaign__in=campaigns, rater=rater, is_live=True).order_by()
    done = dict(ranked.values("task__campaign").annotate(n=Count("pk")).values_list("task__campaign", "n"))
    stopped = stopped_among(campaigns)
    desks = [
        Desk(
            campaign=campaign,
            num_mine=done.get(campaign.pk, 0),
            num_waiting=is_open * (waiting.get(campaign.pk, 0) * (campaign.pk not in stopped) + (campaign.pk in begun)),
            has_begun=is_open and campaign.pk in begun,
        )
        for campaign in campaigns
        for is_open in [campaign.state == CampaignState.OPEN]
    ]
    return sorted(desks, key=lambda desk: (not desk.has_begun, -desk.num_waiting, desk.campaign.name))
