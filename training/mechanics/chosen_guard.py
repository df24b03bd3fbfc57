"""Watches that a policy does not unlearn the preferred texts too, and may stop it: by an SFT term that switches itself on.

DPO and its kin may lower both sides of a comparison as long as the rejected one falls faster; far down, that is forgetting.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from training.context import RunContext

STEPS = 10  # whose mean is looked at: single batches go up and down


@dataclass(slots=True)
class ChosenGuard:
    """`limit`: nats a token below the reference that the chosen texts may fall, on the mean of the last steps.

    Beyond it there is one warning; and where it `acts`, `is_on` from that step to the end of training. A term that went off
    again would let the texts fall again.
    """

    limit: float
    acts: bool = False
    weight: float = 0.0
    changes: deque[float] = field(default_factory=lambda: deque(maxlen=STEPS))
    is_on: bool = False
    has_warned: bool = False

    def see(self, change: float, *, step: int, context: RunContext) -> None:
        """`change`: mean log-ratio to the reference of a step's chosen texts, in nats a token."""
        self.changes.append(change)
        if self.has_warned or len(self.changes) < STEPS or self.recent > -self.limit:
            return
        self.has_warned = True
        fallen = (
            f"The preferred texts have become {-self.recent:.2f} nats a token less likely than under the reference: the model "
            "is unlearning them too."
        )
        if self.acts:
            self.is_on = True
            context.warn(
                "sft_switched_on", f"{fallen} From step {step} on an SFT term of weight {self.weight:g} holds them up."
            )
        else:
            advice = "Lower the learning rate or the epochs, raise beta, or let sft be falling."
            context.warn("chosen_falling", f"{fallen} {advice}")

    @property
    def recent(self) -> float:
        """Mean of the last steps' changes."""
        return sum(self.changes) / max(len(self.changes), 1)

    def state(self) -> dict[str, Any]:
        return {"changes": list(self.changes), "is_on": self.is_on, "has_warned": self.has_warned}

    def load(self, state: dict[str, Any]) -> None:
        self.changes.extend(state["changes"])
        self.is_on, self.has_warned = state["is_on"], state["has_warned"]
