"""What online DPO is told."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from training.recipes.online import DEMO, TINY, OnlineRecipe


class OnlineDpoRecipe(OnlineRecipe):
    summary: ClassVar[str] = "Train a policy on the best against the worst of its own completions (Guo et al. 2024)."
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {**TINY, "minibatch_size": 8, "epochs": 4, "learning_rate": 2e-3},
        "demo": DEMO,
    }

    loss: Literal["sigmoid", "ipo"] = Field("sigmoid", description="DPO's loss, or IPO's squared distance.")
    beta: float = Field(0.1, gt=0, le=10, description="How strongly the policy is held to its reference.")

    @model_validator(mode="after")
    def minibatches_hold_pairs(self) -> Self:
        if self.minibatch_size % 2:
            raise ValueError("minibatch_size must be even: completions are learned from in pairs")
        return self
