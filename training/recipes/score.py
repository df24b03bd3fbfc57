"""What scoring is told: completions of up to four models, and the reward model that reads them."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import OutputKind, Recipe

SETS = ("completions", "completions_2", "completions_3", "completions_4")
COMPLETIONS = "dataset:completions"


class ScoreRecipe(Recipe):
    summary: ClassVar[str] = "Score completions of up to four models with a reward model."
    inputs: ClassVar[dict[str, str]] = {
        "reward": "model:reward", "prompts": "dataset:prompts", "completions": COMPLETIONS,
        "completions_2?": COMPLETIONS, "completions_3?": COMPLETIONS, "completions_4?": COMPLETIONS,
    }  # fmt: skip
    output: ClassVar[OutputKind] = "report"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"batch_size": 32, "bf16": False}, "demo": {}}

    batch_size: int = Field(16, ge=1, le=1024, description="Completions read at once.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(0, ge=0, description="Of the bootstrap.")
