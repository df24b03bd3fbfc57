"""What the home page says of campaigns: to a rater what waits for her, to an admin what is in flight."""

from __future__ import annotations

from accounts.home import Panel, panel
from accounts.models import Capability, User
from annotation.models import Appeal, AppealState, Campaign, CampaignState, Standing
from annotation.services.desk import desks_of
from annotation.services.progress import progress_of

MOST_CAMPAIGNS = 6


@panel(Capability.RANK, order=10)
def tasks_that_wait(user: User) -> Panel:
    desks = desks_of(user)
    waiting = [desk for desk in desks if desk.num_waiting]
    context = {
        "desks": waiting,
        "num_waiting": sum(desk.num_waiting for desk in waiting),
        "num_mine": sum(desk.num_mine for desk in desks),
        "held": [desk for desk in desks if desk.standing in (Standing.PAUSED, Standing.FAILED)],
        "is_more": any(desk.is_more for desk in waiting),
        "at_limit": [desk.campaign.name for desk in desks if desk.is_at_limit],
        "has_begun": any(desk.has_begun for desk in waiting),
    }
    return Panel("annotation/panel_rater.html", context)


@panel(Capability.REVIEW, order=15)
def appeals_that_wait(user: User) -> Panel | None:
    """Nothing where no appeal does: disagreements always wait, and have their place in the navigation."""
    num = Appeal.objects.filter(state=AppealState.OPEN).count()
    return Panel("annotation/panel_appeals.html", {"num_appeals": num}) if num else None


@panel(Capability.STUDY, order=20)
def campaigns_in_flight(user: User) -> Panel:
    running = Campaign.objects.exclude(state=CampaignState.CLOSED).order_by("-created_at", "-pk")
    campaigns = list(running[:MOST_CAMPAIGNS])
    progress = progress_of(campaigns)
    return Panel("annotation/panel_campaigns.html", {"entries": [(one, progress[one.pk]) for one in campaigns]})
