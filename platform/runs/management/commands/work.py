"""`manage.py work`: a worker in this process, which needs no broker: it looks at the queue by itself."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import UserCommand
from runs.services.work import work_queue

LOOK_S = 2.0


class Command(UserCommand):
    help = "Work on queued runs in this process. SIGTERM stops the run in hand with a checkpoint and hands it back."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="end once nothing is left to do")

    def run(self, **options: Any) -> dict[str, Any]:
        leaving = threading.Event()

        def leave(signum: int, frame: FrameType | None) -> None:
            leaving.set()

        signal.signal(signal.SIGTERM, leave)
        signal.signal(signal.SIGINT, leave)
        worked = work_queue(must_leave=leaving.is_set)
        while not options["until_idle"] and not leaving.wait(LOOK_S):
            worked += work_queue(must_leave=leaving.is_set)
        return {"worked_on": worked}
