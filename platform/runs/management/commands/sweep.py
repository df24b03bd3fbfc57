"""`manage.py sweep`: once what beat does every few seconds."""

from __future__ import annotations

from typing import Any

from accounts.commands import UserCommand
from runs.services.sweep import sweep


class Command(UserCommand):
    help = "Queue runs again whose worker is gone, end those that wait for a failed one, and ring for what is queued."

    def run(self, **options: Any) -> dict[str, Any]:
        swept = sweep()
        return {"lost": swept.lost, "stranded": swept.stranded, "waiting": swept.waiting}
