"""`manage.py constitutional`: Constitutional AI from end to end without people, in a home of its own, with one table."""

from __future__ import annotations

import time
from typing import Any

from rlhf.loop import constitutional, constitutional_table
from rlhf.management.headless import HeadlessCommand


class Command(HeadlessCommand):
    help = "Run Constitutional AI headless: revisions, SFT, AI feedback, the gate, a preference model, a policy, comparison."
    name = "constitutional"
    scales = tuple(constitutional.SCALES)

    def go(self, scale: str) -> tuple[dict[str, Any], str]:
        began = time.monotonic()
        done = constitutional.go(constitutional.SCALES[scale], tell=self.tell)
        facts = constitutional_table.facts(done, scale=scale, seconds=time.monotonic() - began)
        return facts, constitutional_table.text(facts)
