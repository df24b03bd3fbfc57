"""A rater's desk: in which campaigns work waits for her, and how much."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from annotation.models import Assignment, AssignmentState, Campaign, CampaignState, Membership
from annotation.services.assign import skipped_tasks
from annotation.services.queues import Walk, num_waiting, walks_of

MOST_COUNTED = 500  # tasks that wait, of one campaign: who has that much to do need not know how much more


@dataclass(frozen=True, slots=True)
class Desk:
    """One campaign as one rater finds it; `has_begun` says that a task of it is in her hands.

    Where `is_more`, more wait than `num_waiting`. Where `is_at_limit`, she has ranked as many as one person may.
    """

    campaign: Campaign
    num_mine: int
    num_waiting: int
    has_begun: bool
    is_more: bool
    is_at_limit: bool


def desks_of(rater: User) -> list[Desk]:
    """Those with a task in her hands first, then where most waits, then what has ended.

    Three queries, and a few for each open campaign, none of which looks at more than a bounded number of slots.
    """
    mine = Membership.objects.filter(user=rater, is_active=True).exclude(campaign__state=CampaignState.DRAFT)
    members = list(mine.select_related("campaign", "user").order_by("campaign__name", "campaign"))
    live = Assignment.objects.filter(rater=rater, state=AssignmentState.LIVE).order_by()
    begun = set(live.values_list("slot__campaign", flat=True))
    walks = walks_of([member.campaign for member in members if is_open(member)], rater=rater)
    desks = [
        desk_of(member, walks=walks.get(member.campaign_id, []), has_begun=member.campaign_id in begun)
        for member in members
    ]
    return sorted(desks, key=lambda desk: (not desk.has_begun, -desk.num_waiting, desk.campaign.name))


def is_open(member: Membership) -> bool:
    return member.campaign.state == CampaignState.OPEN


def desk_of(member: Membership, *, walks: list[Walk], has_begun: bool) -> Desk:
    has_begun = is_open(member) and has_begun
    left = member.num_left
    waiting = 0
    if is_open(member) and left != 0:
        waiting = num_waiting(walks, up_to=MOST_COUNTED + 1) + len(skipped_tasks(member.campaign, rater=member.user))
    if left is not None:
        waiting = min(waiting, max(0, left - has_begun))
    waiting += has_begun
    return Desk(
        campaign=member.campaign,
        num_mine=member.num_ranked,
        num_waiting=min(waiting, MOST_COUNTED),
        has_begun=has_begun,
        is_more=waiting > MOST_COUNTED,
        is_at_limit=is_open(member) and left == 0 and not has_begun,
    )
