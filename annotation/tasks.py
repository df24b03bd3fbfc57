"""What beat does for campaigns: leases that ran out end, also where nobody asks for work, and what is left lying is cleared."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from annotation.services.assign import expire_leases
from annotation.services.imports import sweep_imports
from annotation.services.invitations import forget_knocks


@shared_task
def sweep_leases(**_: Any) -> int:
    return expire_leases()


@shared_task
def sweep_doors(**_: Any) -> int:
    """Files that nobody has said a word about for a day, and knocks that no longer count."""
    return sweep_imports() + forget_knocks()
