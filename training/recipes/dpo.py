"""What DPO is told."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import OutputKind, Recipe
from training.recipes.lora import LoRA


class DpoRecipe(Recipe):
    summary: ClassVar[str] = "Train a policy directly on preferences (Rafailov et al. 2023)."
    inputs: ClassVar[dict[str, str]] = {"model": "model", "preferences": "dataset:preference"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "policy"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"lora": None, "epochs": 3, "batch_size": 16, "learning_rate": 5e-4, "max_length": 192, "bf16": False},
        "demo": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-4, "max_length": 320, "eval_every": 20},
    }

    lora: LoRA | None = Field(LoRA(), description="Train an adapter; none trains the whole model.")
    beta: float = Field(0.1, gt=0, le=10, description="How strongly the policy is held to its reference.")
    epochs: float = Field(2, gt=0, le=20, description="Passes over the comparisons.")
    batch_size: int = Field(8, ge=1, le=1024, description="Comparisons a step.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate.")
    max_length: int = Field(
        512, ge=16, le=131_072, description="Longer prompt + completion pairs are left out, and counted."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="The share of comparisons that is taken to be wrong (robust DPO)."
    )
    eval_every: int = Field(10, ge=1, description="Steps between held-out evaluations, samples and checkpoints.")
    sample_tokens: int = Field(
        48, ge=0, le=2048, description="Length of the samples shown while it learns; 0 shows none."
    )
    bf16: bool = Field(True, description="bfloat16 arithmetic; trained weights stay in float32.")
    seed: int = Field(0, ge=0, description="Of the order of the data.")
