"""`manage.py loop`: the whole loop without people, in a home of its own, with one table at its end."""

from __future__ import annotations

import time
from typing import Any

from rlhf.loop import steps, table
from rlhf.loop.scale import SCALES
from rlhf.management.headless import HeadlessCommand


class Command(HeadlessCommand):
    help = "Run the loop headless: models, completions, simulated rankings, reward model, DPO, PPO, comparison."
    name = "loop"
    scales = tuple(SCALES)

    def go(self, scale: str) -> tuple[dict[str, Any], str]:
        began = time.monotonic()
        rounds = steps.go(SCALES[scale], tell=self.tell)
        facts = table.facts(rounds, scale=SCALES[scale], seconds=time.monotonic() - began)
        return facts, table.text(facts)
