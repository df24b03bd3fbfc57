"""What pretraining is told: a causal or a masked language model from zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.recipes.base import OutputKind, Recipe
from training.recipes.parallel import Parallel, uneven

MASKED = ("bert", "modernbert")


@dataclass(frozen=True, slots=True)
class Shape:
    hidden_size: int
    num_layers: int
    num_heads: int


# By the parameters of a Llama with tied embeddings and the vocabulary that suits it (512 tokens for the first, 8192 for
# the fifth); what a model of two cores takes for each stands in docs/pretraining.md.
SIZES = {
    "0.1M": Shape(64, 2, 4),
    "0.9M": Shape(128, 4, 4),
    "4M": Shape(256, 4, 4),
    "12M": Shape(384, 6, 6),
    "29M": Shape(512, 8, 8),
    "124M": Shape(768, 12, 12),
}


class Masking(BaseModel):
    """Which tokens a masked model must find again: of those chosen 80 % are hidden, 10 % become others, 10 % stay."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(0.15, gt=0, lt=0.9, description="Share of the tokens that must be found again.")
    whole_words: bool = Field(False, description="Hide words whole, by where the tokenizer begins one.")
    next_sentence: bool = Field(
        False, description="BERT's second task: does the second half of a row follow on the first?"
    )


class Spikes(BaseModel):
    """A gradient far outside what the run is used to is not taken; after several in a row the run goes back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deviations: float = Field(
        20.0,
        ge=3,
        le=1000,
        description="Robust deviations above the median of the last 50 gradients that are too many.",
    )
    patience: int = Field(
        5, ge=2, le=100, description="Steps left out in a row until the run goes back to a checkpoint."
    )


class PretrainRecipe(Recipe):
    summary: ClassVar[str] = "Train a language model from zero on a corpus."
    inputs: ClassVar[dict[str, str]] = {"tokenizer": "tokenizer", "corpus": "dataset:corpus"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "base"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "context": 128, "batch_size": 8, "steps": 60,
                 "learning_rate": 3e-3, "warmup_steps": 5, "eval_every": 20, "bf16": False},
        # Of a vocabulary of 4,096; what ten minutes on two cores make of each: docs/results/pretraining.md.
        "masked": {"architecture": "modernbert", "hidden_size": 256, "num_layers": 6, "num_heads": 4, "context": 256,
                   "batch_size": 16, "steps": 1200, "optimizer": "muon", "learning_rate": 6e-3, "schedule": "wsd",
                   "decay_share": 0.4, "warmup_steps": 40, "eval_every": 100},
        "demo": {"architecture": "qwen3", "hidden_size": 256, "num_layers": 6, "num_heads": 4, "context": 256,
                 "batch_size": 16, "steps": 600, "optimizer": "muon", "learning_rate": 6e-3, "schedule": "wsd",
                 "decay_share": 0.4, "warmup_steps": 20, "eval_every": 60},
    }  # fmt: skip

    architecture: Literal["llama", "qwen3", "gpt2", "bert", "modernbert"] = Field(
        "llama", description="Model class of transformers; BERT and ModernBERT are masked models, which fill in gaps."
    )
    size: Literal["as told", "0.1M", "0.9M", "4M", "12M", "29M", "124M"] = Field(
        "as told", description="Width, blocks and heads by name, or as told below."
    )
    hidden_size: int = Field(256, ge=16, le=8192, description="Width of the model.")
    num_layers: int = Field(6, ge=1, le=128, description="Number of blocks.")
    num_heads: int = Field(4, ge=1, le=128, description="Attention heads; divides the width.")
    context: int = Field(256, ge=16, le=131_072, description="Tokens a row.")
    tied: bool = Field(True, description="Input and output embeddings are one matrix.")
    batch_size: int = Field(8, ge=1, le=4096, description="Rows a step.")
    accumulation: int = Field(
        1, ge=1, le=4096, description="Parts in which a step's rows are read; the step stays the same."
    )
    steps: int = Field(1200, ge=1, le=10_000_000, description="Optimiser steps.")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="Muon takes the blocks' matrices, AdamW embeddings, norms and the output."
    )
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate of AdamW.")
    muon_learning_rate: float = Field(0.02, gt=0, le=1, description="Peak learning rate of Muon.")
    tuned_width: int | None = Field(
        None,
        ge=16,
        le=8192,
        description="Width at which the rate was tuned; it is scaled to this width. None takes it as it is.",
    )
    sweep: tuple[float, ...] = Field(
        (),
        description="Multiples of the learning rate to try in short runs first, such as 0.5, 1, 2; the best is taken.",
    )
    sweep_steps: int = Field(60, ge=2, le=100_000, description="Steps of each short run.")
    schedule: Literal["cosine", "wsd"] = Field(
        "cosine", description="A cosine to a tenth, or WSD: the peak until the last part, then in a line to 0."
    )
    decay_share: float = Field(
        0.3, gt=0, le=1, description="Of WSD: the last part of the steps, in which the rate falls."
    )
    warmup_steps: int = Field(40, ge=0, description="Steps until the peak.")
    weight_decay: float = Field(0.1, ge=0, le=1, description="On matrices only, never on norms or embeddings.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    z_loss: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of the squared log of the softmax's sum, which holds logits near 0; 1e-4 is usual.",
    )
    eval_every: int = Field(100, ge=1, description="Steps between held-out evaluations, samples and checkpoints.")
    bf16: bool = Field(True, description="bfloat16 autocast: about twice as fast on CPUs and GPUs that have it.")
    compiled: bool = Field(False, description="torch.compile: slow to start, faster after; needs a compiler.")
    seed: int = Field(0, ge=0, description="Of the weights and of the order of the data.")
    masking: Masking | None = Field(None, description="Of BERT and ModernBERT: which tokens are to be found again.")
    spikes: Spikes | None = Field(Spikes(), description="Leave out steps whose gradient is far outside what is usual.")
    parallel: Parallel | None = Field(None, description="Several processes share each step.")

    @classmethod
    def role_of(cls, recipe: Mapping[str, Any]) -> str:
        return "masked" if recipe.get("architecture") in MASKED else cls.role

    @property
    def is_masked(self) -> bool:
        return self.architecture in MASKED

    @property
    def mask(self) -> Masking:
        return self.masking or Masking()

    @property
    def shape(self) -> Shape:
        return SIZES.get(self.size) or Shape(self.hidden_size, self.num_layers, self.num_heads)

    @model_validator(mode="after")
    def heads_divide_the_width(self) -> PretrainRecipe:
        if self.hidden_size % self.num_heads or (self.hidden_size // self.num_heads) % 2:
            raise ValueError("num_heads must divide hidden_size into heads of even width")
        return self

    @model_validator(mode="after")
    def parts_are_equal(self) -> PretrainRecipe:
        if self.batch_size % self.accumulation:
            raise ValueError("accumulation must divide batch_size")
        if uneven(self.parallel, self.batch_size // self.accumulation):
            raise ValueError("processes must divide batch_size / accumulation")
        return self

    @model_validator(mode="after")
    def what_is_cut_can_be(self) -> PretrainRecipe:
        if self.parallel and self.parallel.strategy == "fsdp" and self.optimizer == "muon":
            raise ValueError("Muon moves whole matrices, which fsdp cuts: choose adamw, or the strategy ddp")
        if self.parallel and self.compiled:
            raise ValueError("compiled is for one process: leave it off, or leave parallel off")
        return self

    @model_validator(mode="after")
    def masking_has_a_model(self) -> PretrainRecipe:
        if self.masking and not self.is_masked:
            raise ValueError("masking is for the architectures bert and modernbert")
        if self.masking and self.masking.next_sentence and self.architecture != "bert":
            raise ValueError("next_sentence is for the architecture bert")
        return self

    @model_validator(mode="after")
    def sweep_is_of_multiples(self) -> PretrainRecipe:
        if not all(0 < multiple <= 1000 for multiple in self.sweep):
            raise ValueError("sweep must be multiples above 0 and up to 1000")
        return self
