"""Watches that a policy does not unlearn the preferred texts too, and may stop it: by an SFT term that switches itself on.

DPO and its kin may lower both sides of a comparison as long as the rejected one falls faster; far down, that is forgetting.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from training.context import RunContext
from training.mechanics.coach.rewards import FALLING_POINTS, chosen_falling


@dataclass(slots=True)
class ChosenGuard:
    """`limit`: nats a token below the reference that the chosen texts may fall, on the mean of the last steps.

    Beyond it there is one warning; and where it `acts`, `is_on` from that step to the end of training. A term that went off
    again would let the texts fall again.
    """

    limit: float
    acts: bool = False
    weight: float = 0.0
    changes: deque[float] = field(default_factory=lambda: deque(maxlen=FALLING_POINTS))
    is_on: bool = False
    has_warned: bool = False

    def see(self, change: float, *, step: int, context: RunContext) -> None:
        """`change`: mean log-ratio to the reference of a step's chosen texts, in nats a token."""
        self.changes.append(change)
        finding = chosen_falling(list(self.changes), since=step, limit=self.limit)
        if self.has_warned or finding is None:
            return
        self.has_warned = True
        if self.acts:
            self.is_on = True
            finding = replace(
                finding,
                code="sft_switched_on",
                template="The preferred texts have become %(nats).2f nats a token less likely than under the reference: the "
                "model is unlearning them too. From step %(step)s on an SFT term of weight %(weight)g holds them up.",
                figures={**finding.figures, "step": step, "weight": self.weight},
                advice="",
                severity="note",
            )
        context.tell(finding)

    @property
    def recent(self) -> float:
        """Mean of the last steps' changes."""
        return sum(self.changes) / max(len(self.changes), 1)

    def state(self) -> dict[str, Any]:
        return {"changes": list(self.changes), "is_on": self.is_on, "has_warned": self.has_warned}

    def load(self, state: dict[str, Any]) -> None:
        self.changes.extend(state["changes"])
        self.is_on, self.has_warned = state["is_on"], state["has_warned"]
