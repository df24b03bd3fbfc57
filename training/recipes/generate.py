"""What the generation of completions is told: K samples a prompt, each with a seed and a temperature of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from training.recipes.completions import CompletionsRecipe


class GenerateRecipe(CompletionsRecipe):
    summary: ClassVar[str] = "Sample K completions of every prompt from a model."
    inputs: ClassVar[dict[str, str]] = {"model": "model", "prompts": "dataset:prompts"}
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"max_new_tokens": 24, "batch_size": 32, "bf16": False},
        "demo": {"max_new_tokens": 96},
    }

    min_new_tokens: int = Field(0, ge=0, le=32_768, description="No completion ends before it has as many tokens.")
    batch_size: int = Field(64, ge=1, le=1024, description="Sequences sampled at once.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(0, ge=0, description="Completion i of prompt p is seeded by (seed, p, i), whatever the batch.")

    @model_validator(mode="after")
    def ends_are_possible(self) -> GenerateRecipe:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError("min_new_tokens must not be above max_new_tokens")
        return self
