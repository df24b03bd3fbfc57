"""`manage.py constitutional`: Constitutional AI from end to end without people, in a home of its own, with one table."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from rlhf.loop import constitutional, constitutional_table
from rlhf.management.headless import HeadlessCommand
from rlhf.services.constitutional.plan import POLICIES


class Command(HeadlessCommand):
    help = "Run Constitutional AI headless: revisions, SFT, AI feedback, the gate, a preference model, a policy, comparison."
    name = "constitutional"
    scales = tuple(constitutional.SCALES)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--policy", choices=POLICIES, default="dpo", help="how the policy is trained")

    def handle(self, *, scale: str, home: Path | None, inside: bool, **options: Any) -> None:
        self.policy = options["policy"]
        super().handle(scale=scale, home=home, inside=inside, **options)

    def go(self, scale: str) -> tuple[dict[str, Any], str]:
        began = time.monotonic()
        asked = constitutional.SCALES[scale]
        done = constitutional.go(replace(asked, plan=replace(asked.plan, policy=self.policy)), tell=self.tell)
        facts = constitutional_table.facts(done, scale=scale, seconds=time.monotonic() - began)
        return facts, constitutional_table.text(facts)
