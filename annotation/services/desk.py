"""A rater's desk: in which campaigns work waits for her, and how much."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from accounts.models import User
from annotation.models import Assignment, AssignmentState, Campaign, CampaignState, Membership, Standing
from annotation.services.assign import skipped_tasks
from annotation.services.money import stopped_among
from annotation.services.qualification import test_progress
from annotation.services.queues import Walk, num_waiting, walks_of
from annotation.services.stream import num_ahead

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

    @property
    def campaign(self) -> Campaign:
        return self.member.campaign

    @property
    def standing(self) -> str:
        return self.member.standing


def desks_of(rater: User) -> list[Desk]:
    """Those with a task in her hands first, then where most waits, then what has ended.

    Six queries, and a few for each open campaign, none of which looks at more than a bounded number of slots.
    """
    mine = Membership.objects.filter(user=rater, is_active=True).exclude(campaign__state=CampaignState.DRAFT)
    members = list(mine.select_related("campaign__quality_plan", "user").order_by("campaign__name", "campaign"))
    live = Assignment.objects.filter(rater=rater, state=AssignmentState.LIVE).order_by()
    begun = Counter(live.values_list("slot__campaign", flat=True))
    open_to_her = [member for member in members if is_open(member)]
    walks = walks_of([member.campaign for member in open_to_her], rater=rater)
    work = {member.campaign_id: num_work(member, walks.get(member.campaign_id, [])) for member in open_to_her}
    checked = [member for member in open_to_her if hasattr(member.campaign, "quality_plan")]
    checks = num_ahead(checked, num_work=work)
    stopped = stopped_among([member.campaign for member in open_to_her])
    waiting = {
        member.campaign_id: num_new(member, work=work, checks=checks)
        for member in open_to_her
        if member.campaign_id not in stopped
    }
    desks = [
        desk_of(member, num_held=begun[member.campaign_id], waiting=waiting.get(member.campaign_id, 0))
        for member in members
    ]
    return sorted(desks, key=lambda desk: (not desk.has_begun, -desk.num_waiting, desk.campaign.name))


def is_open(member: Membership) -> bool:
    return member.campaign.state == CampaignState.OPEN


def num_work(member: Membership, walks: list[Walk]) -> int:
    """Tasks of work that wait for her, and are no secret; one more than `MOST_COUNTED` where there are more."""
    if member.standing != Standing.TRUSTED or member.num_left == 0:
        return 0
    return num_waiting(walks, up_to=MOST_COUNTED + 1) + len(skipped_tasks(member.campaign, rater=member.user))


def num_new(member: Membership, *, work: dict[int, int], checks: dict[int, int]) -> int:
    """What waits for her beside what she holds."""
    if member.standing == Standing.TESTED:
        progress = test_progress(member)
        return progress.num - progress.num_done
    if member.standing != Standing.TRUSTED:
        return 0
    return work[member.campaign_id] + checks.get(member.campaign_id, 0)


def desk_of(member: Membership, *, num_held: int, waiting: int) -> Desk:
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
    )
