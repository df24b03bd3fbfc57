"""What beat does for campaigns: slots of leases that ran out go back, also where nobody asks for work."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from annotation.services.assign import expire_leases


@shared_task
def sweep_leases(**_: Any) -> int:
    return expire_leases()
