"""What headless commands share: a home of their own, in a process of its own, and one table at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.errors import UserError
from rlhf.loop.steps import RunsFailed


class HeadlessCommand(BaseCommand):
    """`name` begins that of its home; `scales` are what it can be asked for."""

    name: ClassVar[str]
    scales: ClassVar[tuple[str, ...]]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--scale", choices=sorted(self.scales), default="full")
        parser.add_argument("--home", type=Path, help="where to keep everything; given again, it goes on there")
        parser.add_argument("--json", action="store_true", help="print the table as one JSON object")
        parser.add_argument("--inside", action="store_true", help="work in the home of this process")

    def handle(self, *, scale: str, home: Path | None, inside: bool, **options: Any) -> None:
        if inside:
            self.work(scale, as_json=options["json"])
            return
        home = home or settings.STEADYHAND_HOME / f"{self.name}-{scale}-{time.strftime('%Y%m%d-%H%M%S')}"
        # Settings are read once, at start: another home takes another process.
        again = [sys.executable, *sys.argv, "--inside"]
        environment = {name: value for name, value in os.environ.items() if name != "STEADYHAND_DATABASE_URL"}
        done = subprocess.run(again, env=environment | {"STEADYHAND_HOME": str(home.resolve())})
        sys.exit(done.returncode)

    def work(self, scale: str, *, as_json: bool) -> None:
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        call_command("migrate", verbosity=0)
        try:
            facts, text = self.go(scale)
        except (RunsFailed, UserError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(facts) if as_json else text)

    def tell(self, line: str) -> None:
        self.stderr.write(line)

    @abstractmethod
    def go(self, scale: str) -> tuple[dict[str, Any], str]:
        """All of it; what it comes to as facts, and as a table."""
