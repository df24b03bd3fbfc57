"""What the generation of completions is told: K samples a prompt, each with a seed and a temperature of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe


class GenerateRecipe(Recipe):
    summary: ClassVar[str] = "Sample K completions of every prompt from a model."
    inputs: ClassVar[dict[str, str]] = {"model": "model", "prompts": "dataset:prompts"}
    output: ClassVar[OutputKind] = "dataset"
    role: ClassVar[str] = "completions"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"max_new_tokens": 24, "batch_size": 32, "bf16": False},
        "demo": {"max_new_tokens": 96},
    }

    k: int = Field(4, ge=2, le=9, description="Completions a prompt.")
    temperatures: tuple[float, ...] = Field(
        (0.7, 0.8, 0.9, 1.0), min_length=1, max_length=9,
        description="The i-th completion of a prompt is sampled at the i-th temperature, in turn.",
    )  # fmt: skip
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling; 1 samples from the whole distribution.")
    max_new_tokens: int = Field(96, ge=1, le=32_768, description="A completion is cut here if it has not ended.")
    min_new_tokens: int = Field(0, ge=0, le=32_768, description="No completion ends before it has as many tokens.")
    stop_strings: tuple[str, ...] = Field(
        (), max_length=8, description="A completion also ends where one of these begins, which is left out of its text."
    )
    batch_size: int = Field(64, ge=1, le=1024, description="Sequences sampled at once.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(0, ge=0, description="Completion i of prompt p is seeded by (seed, p, i), whatever the batch.")

    @model_validator(mode="after")
    def temperatures_are_positive(self) -> GenerateRecipe:
        if any(not 0 < t <= 2 for t in self.temperatures):
            raise ValueError("temperatures must lie above 0 and at most at 2")
        return self

    @model_validator(mode="after")
    def ends_are_possible(self) -> GenerateRecipe:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError("min_new_tokens must not be above max_new_tokens")
        if not all(self.stop_strings):
            raise ValueError("a stop string must not be empty")
        return self
