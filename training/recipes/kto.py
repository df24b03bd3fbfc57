"""What KTO is told."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import OutputKind, Recipe
from training.recipes.lora import LoRA


class KtoRecipe(Recipe):
    summary: ClassVar[str] = "Train a policy on desirable and undesirable texts (KTO, Ethayarajh et al. 2024)."
    inputs: ClassVar[dict[str, str]] = {"model": "model", "preferences": "dataset:preference"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "policy"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"lora": None, "epochs": 3, "batch_size": 16, "learning_rate": 5e-4, "max_length": 192, "bf16": False},
        "demo": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-4, "max_length": 320, "eval_every": 20},
    }

    lora: LoRA | None = Field(LoRA(), description="Train an adapter; none trains the whole model.")
    beta: float = Field(0.1, gt=0, le=10, description="How strongly the policy is held to its reference.")
    desirable_weight: float = Field(
        1.0,
        gt=0,
        le=100,
        description="Of all desirable texts together; kinds are balanced first, however many there are.",
    )
    undesirable_weight: float = Field(1.0, gt=0, le=100, description="Of all undesirable texts together.")
    epochs: float = Field(2, gt=0, le=20, description="Passes over the texts.")
    batch_size: int = Field(8, ge=2, le=1024, description="Texts a step, those of a prompt together.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate.")
    max_length: int = Field(
        512, ge=16, le=131_072, description="Longer texts, prompt included, take no part, and are counted."
    )
    eval_every: int = Field(10, ge=1, description="Steps between held-out evaluations, samples and checkpoints.")
    sample_tokens: int = Field(
        48, ge=0, le=2048, description="Length of the samples shown while it learns; 0 shows none."
    )
    bf16: bool = Field(True, description="bfloat16 arithmetic; trained weights stay in float32.")
    seed: int = Field(0, ge=0, description="Of the order of the data.")
