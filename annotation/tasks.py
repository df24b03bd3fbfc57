"""What workers do for campaigns: leases that ran out end, what is left lying is cleared, and statistics are counted."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from annotation.models import Campaign
from annotation.services.figures import count
from annotation.services.imports import sweep_imports
from annotation.services.invitations import forget_knocks
from annotation.services.leases import expire_leases


@shared_task
def sweep_leases(**_: Any) -> int:
    return expire_leases()


@shared_task
def count_figures(*, campaign_id: int, **_: Any) -> None:
    """Statistics of one campaign, for its pages; one that is gone meanwhile has none."""
    campaign = Campaign.objects.filter(pk=campaign_id).first()
    if campaign is not None:
        count(campaign)


@shared_task
def sweep_doors(**_: Any) -> int:
    """Files that nobody has said a word about for a day, and knocks that no longer count."""
    return sweep_imports() + forget_knocks()
