"""What an evaluation is told: a policy beside its reference on held-out prompts."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from training.recipes.base import OutputKind, Recipe


class EvaluateRecipe(Recipe):
    summary: ClassVar[str] = "Compare a policy with its reference on held-out prompts."
    inputs: ClassVar[dict[str, str]] = {
        "policy": "model", "reference": "model", "prompts": "dataset:prompts", "reward?": "model:reward",
    }  # fmt: skip
    output: ClassVar[OutputKind] = "report"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"samples": 2, "max_new_tokens": 24, "batch_size": 32, "bf16": False},
        "demo": {"samples": 4, "max_new_tokens": 96},
    }

    samples: int = Field(4, ge=1, le=64, description="Completions a prompt and model.")
    max_new_tokens: int = Field(96, ge=1, le=32_768, description="A completion is cut here if it has not ended.")
    temperature: float = Field(1.0, gt=0, le=2, description="Of sampling.")
    batch_size: int = Field(16, ge=1, le=1024, description="Sequences at once.")
    utility: Literal["none", "brief"] = Field(
        "none", description="A stated utility to measure as well, where raters were simulated by it."
    )
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(0, ge=0, description="Of sampling and of the bootstrap.")
