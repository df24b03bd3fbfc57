"""`manage.py loop`: the whole loop without people, in a home of its own, with one table at its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from rlhf.loop import steps, table
from rlhf.loop.scale import SCALES


class Command(BaseCommand):
    help = "Run the loop headless: models, completions, simulated rankings, reward model, DPO, PPO, comparison."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--scale", choices=sorted(SCALES), default="full")
        parser.add_argument("--home", type=Path, help="where to keep everything; given again, the loop goes on there")
        parser.add_argument("--json", action="store_true", help="print the table as one JSON object")
        parser.add_argument("--inside", action="store_true", help="work in the home of this process")

    def handle(self, *, scale: str, home: Path | None, inside: bool, json: bool, **options: Any) -> None:
        if inside:
            self.work(scale, as_json=json)
            return
        home = home or settings.STEADYHAND_HOME / f"loop-{scale}-{time.strftime('%Y%m%d-%H%M%S')}"
        # Settings are read once, at start: another home takes another process.
        again = [sys.executable, *sys.argv, "--inside"]
        environment = {name: value for name, value in os.environ.items() if name != "STEADYHAND_DATABASE_URL"}
        done = subprocess.run(again, env=environment | {"STEADYHAND_HOME": str(home.resolve())})
        sys.exit(done.returncode)

    def work(self, name: str, *, as_json: bool) -> None:
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        call_command("migrate", verbosity=0)
        began = time.monotonic()
        try:
            rounds = steps.go(SCALES[name], tell=lambda line: self.stderr.write(line))
        except steps.RunsFailed as error:
            raise CommandError(str(error)) from error
        facts = table.facts(rounds, scale=SCALES[name], seconds=time.monotonic() - began)
        self.stdout.write(json.dumps(facts) if as_json else table.text(facts))
