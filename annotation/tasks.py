"""What workers do for campaigns: slots of leases that ran out go back, and statistics are counted."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from annotation.models import Campaign
from annotation.services.assign import expire_leases
from annotation.services.figures import count


@shared_task
def sweep_leases(**_: Any) -> int:
    return expire_leases()


@shared_task
def count_figures(*, campaign_id: int, **_: Any) -> None:
    """Statistics of one campaign, for its pages; one that is gone meanwhile has none."""
    campaign = Campaign.objects.filter(pk=campaign_id).first()
    if campaign is not None:
        count(campaign)
