"""What is told to whoever makes completions, K a prompt: a model of ours, or an endpoint."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe


class CompletionsRecipe(Recipe):
    output: ClassVar[OutputKind] = "dataset"
    role: ClassVar[str] = "completions"

    k: int = Field(4, ge=2, le=9, description="Completions a prompt.")
    temperatures: tuple[float, ...] = Field(
        (0.7, 0.8, 0.9, 1.0), min_length=1, max_length=9,
        description="The i-th completion of a prompt is sampled at the i-th temperature, in turn.",
    )  # fmt: skip
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling; 1 samples from the whole distribution.")
    max_new_tokens: int = Field(96, ge=1, le=32_768, description="A completion is cut here if it has not ended.")
    stop_strings: tuple[str, ...] = Field(
        (), max_length=8, description="A completion also ends where one of these begins, which is left out of its text."
    )

    @model_validator(mode="after")
    def fields_fit(self) -> Self:
        if any(not 0 < t <= 2 for t in self.temperatures):
            raise ValueError("temperatures must lie above 0 and at most at 2")
        if not all(self.stop_strings):
            raise ValueError("a stop string must not be empty")
        return self
