"""What pretraining is told: a causal language model from zero."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe


class PretrainRecipe(Recipe):
    summary: ClassVar[str] = "Train a causal language model from zero on a corpus."
    inputs: ClassVar[dict[str, str]] = {"tokenizer": "tokenizer", "corpus": "dataset:corpus"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "base"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "context": 128, "batch_size": 8, "steps": 60,
                 "learning_rate": 3e-3, "warmup_steps": 5, "eval_every": 20, "bf16": False},
        "demo": {"hidden_size": 256, "num_layers": 6, "num_heads": 4, "context": 256, "batch_size": 8, "steps": 1200,
                 "learning_rate": 2e-3, "warmup_steps": 40, "eval_every": 100},
    }  # fmt: skip

    architecture: Literal["llama"] = Field("llama", description="Model class of transformers.")
    hidden_size: int = Field(256, ge=16, le=8192, description="Width of the model.")
    num_layers: int = Field(6, ge=1, le=128, description="Number of blocks.")
    num_heads: int = Field(4, ge=1, le=128, description="Attention heads; divides the width.")
    context: int = Field(256, ge=16, le=131_072, description="Tokens a row.")
    batch_size: int = Field(8, ge=1, le=4096, description="Rows a step.")
    steps: int = Field(1200, ge=1, le=10_000_000, description="Optimiser steps.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate of AdamW.")
    warmup_steps: int = Field(40, ge=0, description="Steps until the peak; then a cosine to a tenth of it.")
    weight_decay: float = Field(0.1, ge=0, le=1, description="On matrices only, never on norms or embeddings.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    eval_every: int = Field(100, ge=1, description="Steps between held-out evaluations, samples and checkpoints.")
    bf16: bool = Field(True, description="bfloat16 autocast: about twice as fast on CPUs and GPUs that have it.")
    seed: int = Field(0, ge=0, description="Of the weights and of the order of the data.")

    @model_validator(mode="after")
    def heads_divide_the_width(self) -> PretrainRecipe:
        if self.hidden_size % self.num_heads or (self.hidden_size // self.num_heads) % 2:
            raise ValueError("num_heads must divide hidden_size into heads of even width")
        return self
