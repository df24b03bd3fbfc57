"""What a look before fine-tuning is told: the model and instructions that a run of `sft` would take; a report comes out."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from training.recipes.base import OutputKind, Recipe


class PreflightRecipe(Recipe):
    summary: ClassVar[str] = "Say what speaks against fine-tuning a model on these instructions, before it is done."
    inputs: ClassVar[dict[str, str]] = {
        "model": "model", "instructions": "dataset:instructions", "prompts?": "dataset:prompts", "tuned?": "model",
    }  # fmt: skip
    output: ClassVar[OutputKind] = "report"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"max_length": 128, "shots": 2, "held_out_rows": 16, "bf16": False},
        "demo": {"max_length": 256, "held_out_rows": 64},
    }

    task: Literal["guess", "narrow", "broad"] = Field(
        "guess",
        description="Narrow: one kind of question, which needs fewer examples; a guess goes by how questions begin.",
    )
    max_length: int = Field(512, ge=16, le=131_072, description="Longer rows would be left out, as by sft.")
    shots: int = Field(3, ge=1, le=16, description="Examples in the few-shot prompt.")
    held_out_rows: int = Field(100, ge=4, le=10_000, description="Held-out answers whose likelihood is measured.")
    batch_size: int = Field(8, ge=1, le=1024, description="Sequences at once.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(0, ge=0, description="Of which examples are shown and which rows are measured.")
