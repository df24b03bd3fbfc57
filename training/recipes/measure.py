"""What a measurement is told: up to four models and held-out sets, each model measured on each set that it can read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import Lack, OutputKind, Recipe

MODELS = ("model", "model_2", "model_3", "model_4")
SETS = ("corpus", "instructions", "labelled")
ANY = "model|model:task"
NO_SET = "Choose a set to measure on: a corpus, instructions or labelled texts."


class MeasureRecipe(Recipe):
    summary: ClassVar[str] = (
        "Measure up to four models side by side on held-out texts, instructions and labelled texts."
    )
    inputs: ClassVar[dict[str, str]] = {
        "model": ANY, "model_2?": ANY, "model_3?": ANY, "model_4?": ANY,
        "corpus?": "dataset:corpus", "instructions?": "dataset:instructions", "labelled?": "dataset:labelled",
    }  # fmt: skip
    output: ClassVar[OutputKind] = "report"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"rows": 40, "max_length": 64, "max_new_tokens": 12, "batch_size": 16, "bf16": False},
        "demo": {"rows": 300, "max_new_tokens": 64},
    }

    rows: int = Field(1000, ge=1, le=1_000_000, description="Held-out rows of each set that are measured at most.")
    answers: bool = Field(
        True,
        description="Let models answer the instructions and compare with the references (BLEU, ROUGE, exact match).",
    )
    max_length: int = Field(512, ge=16, le=131_072, description="Tokens of a corpus text that are read at once.")
    max_new_tokens: int = Field(96, ge=1, le=32_768, description="An answer is cut here if it has not ended.")
    temperature: float = Field(0.01, gt=0, le=2, description="Of answers; 0.01 takes the likeliest token.")
    batch_size: int = Field(16, ge=1, le=1024, description="Texts at once.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(0, ge=0, description="Of answers and of the bootstrap.")

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        if not set(inputs) & set(SETS):
            return Lack(NO_SET, SETS[0])
        return None
