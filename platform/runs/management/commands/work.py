"""`manage.py work`: a worker in this process, which needs no broker: it looks at the queue by itself."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import CommandParser
from django.db import OperationalError, connection

from accounts.commands import UserCommand
from runs.services.work import work_queue

LOOK_S = 2.0
logger = logging.getLogger("steadyhand.runs")


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
        worked = 0
        while True:
            try:
                worked += work_queue(must_leave=leaving.is_set)
            except OperationalError as error:
                logger.warning("The database is away; looking again in %g s: %s", LOOK_S, error)
                connection.close()
            if options["until_idle"] or leaving.wait(LOOK_S):
                return {"worked_on": worked}
