"""What RLOO is told."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.online import DEMO, TINY, OnlineRecipe


class RlooRecipe(OnlineRecipe):
    summary: ClassVar[str] = "Train a policy on rewards or votes by REINFORCE leave-one-out (Ahmadian et al. 2024)."
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {**TINY, "epochs": 4}, "demo": DEMO}

    kl_coefficient: float = Field(0.05, ge=0, le=10, description="Taken from the reward for each nat of KL.")
    clip: float = Field(0.2, gt=0, lt=1, description="Of the policy's ratio.")
    normalise: bool = Field(False, description="Divide advantages by their deviation over the rollout.")
