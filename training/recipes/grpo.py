"""What GRPO is told."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from training.recipes.online import DEMO, TINY, OnlineRecipe


class GrpoRecipe(OnlineRecipe):
    summary: ClassVar[str] = "Train a policy on rewards or votes by GRPO (Shao et al. 2024), DAPO or Dr. GRPO."
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {**TINY, "minibatch_size": 8, "epochs": 2}, "demo": DEMO}

    scale: Literal["group", "batch", "none"] = Field(
        "group", description="Advantages are divided by the deviation of a prompt's rewards, of all, or not at all."
    )
    loss: Literal["grpo", "dapo", "dr_grpo", "bnpo"] = Field(
        "dapo",
        description="What a token weighs: by its completion, by all tokens, by the longest length, by its minibatch.",
    )
    ratio: Literal["token", "sequence"] = Field(
        "token", description="The ratio that is clipped: of each token, or of a completion (GSPO)."
    )
    clip_low: float = Field(0.2, gt=0, lt=1, description="The policy's ratio is clipped this far below 1.")
    clip_high: float = Field(0.2, gt=0, description="The policy's ratio is clipped this far above 1 (DAPO: 0.28).")
    kl_coefficient: float = Field(0.04, ge=0, le=10, description="Added to the loss for each nat of KL, per token.")
