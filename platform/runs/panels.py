"""What the home page says of runs: what goes on, what waits, what failed and wants somebody."""

from __future__ import annotations

import datetime

from django.utils import timezone

from accounts.home import Panel, panel
from accounts.models import Capability, User
from runs.models import Run, RunState

MOST = 6
RECENT = datetime.timedelta(days=7)


@panel(Capability.STUDY, order=30)
def runs(user: User) -> Panel:
    under_way = Run.objects.filter(state__in=[RunState.RUNNING, RunState.QUEUED]).order_by("-state", "priority", "pk")
    failed = Run.objects.filter(state=RunState.FAILED, finished_at__gte=timezone.now() - RECENT)
    succeeded = Run.objects.filter(state=RunState.SUCCEEDED, is_estimate=False)
    context = {
        "under_way": list(under_way[:MOST]),
        "failed": list(failed.order_by("-finished_at", "pk")[:MOST]),
        "succeeded": list(succeeded.order_by("-finished_at", "pk")[:MOST]),
    }
    return Panel("runs/panel.html", context)
