"""What each step of curating did: how many rows it was given, what it dropped and why, with a few examples; in JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SHOWN = 300  # characters of a row that is shown

STEPS = ("normalise", "personal_data", "quality", "repetition", "language", "decontamination", "exact_duplicates",
         "held_out", "near_duplicates")  # fmt: skip


@dataclass(slots=True)
class StepReport:
    name: str
    num_examples: int
    given: int = 0
    changed: int = 0
    """Rows that stay, with another text."""
    found: Counter[str] = field(default_factory=Counter)
    """What was met without dropping the row: kinds of personal data."""
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def drop(self, row_id: str, text: str, reason: str) -> None:
        self.reasons[reason] += 1
        if self.reasons[reason] <= self.num_examples:
            self.examples.append({"id": row_id, "reason": reason, "text": text[:SHOWN]})

    @property
    def dropped(self) -> int:
        return self.reasons.total()

    def add(self, part: dict[str, Any]) -> None:
        """Takes in what the same step did in one part of the rows."""
        for example in part["examples"]:
            if sum(known["reason"] == example["reason"] for known in self.examples) < self.num_examples:
                self.examples.append(example)
        self.given += part["given"]
        self.changed += part["changed"]
        self.found.update(part["found"])
        self.reasons.update(part["reasons"])

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "given": self.given, "kept": self.given - self.dropped, "dropped": self.dropped,
            "changed": self.changed, "found": dict(sorted(self.found.items())),
            "reasons": dict(self.reasons.most_common()), "examples": self.examples,
        }  # fmt: skip
