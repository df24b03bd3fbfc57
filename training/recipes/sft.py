"""What supervised fine-tuning is told: instructions in, a model that follows them out."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import OutputKind, Recipe
from training.recipes.lora import LoRA


class SftRecipe(Recipe):
    summary: ClassVar[str] = "Fine-tune a model on instructions; only the assistant's words are learned."
    inputs: ClassVar[dict[str, str]] = {"model": "model", "instructions": "dataset:instructions"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "sft"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            "epochs": 1,
            "batch_size": 8,
            "learning_rate": 2e-3,
            "max_length": 128,
            "sample_tokens": 24,
            "bf16": False,
        },
        "demo": {"epochs": 2, "batch_size": 16, "learning_rate": 5e-4, "max_length": 256},
    }

    lora: LoRA | None = Field(None, description="Train an adapter instead of the whole model.")
    epochs: float = Field(2, gt=0, le=100, description="Passes over the rows.")
    batch_size: int = Field(16, ge=1, le=4096, description="Conversations a step, packed or not.")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Peak learning rate.")
    max_length: int = Field(512, ge=16, le=131_072, description="Longer rows are left out, and counted.")
    packing: bool = Field(True, description="Several conversations in one row, isolated from each other: less padding.")
    eval_every: int = Field(25, ge=1, description="Steps between held-out evaluations, samples and checkpoints.")
    sample_tokens: int = Field(
        48, ge=0, le=2048, description="Length of the samples shown while it learns; 0 shows none."
    )
    bf16: bool = Field(True, description="bfloat16 arithmetic; trained weights stay in float32.")
    seed: int = Field(0, ge=0, description="Of the order of the data.")
