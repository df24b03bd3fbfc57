"""What supervised fine-tuning is told: instructions in, a model that follows them out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from training.recipes.base import Lack, OutputKind, Recipe
from training.recipes.lora import LoRA
from training.recipes.parallel import Parallel

NOT_ONE_EACH = "There is one weight a dataset of instructions, in the order of the inputs, or none."


class SftRecipe(Recipe):
    summary: ClassVar[str] = "Fine-tune a model on instructions; only the assistant's words are learned."
    inputs: ClassVar[dict[str, str]] = {
        "model": "model",
        "instructions": "dataset:instructions",
        "instructions2?": "dataset:instructions",
        "instructions3?": "dataset:instructions",
        "instructions4?": "dataset:instructions",
        "general?": "dataset:corpus",
    }
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

    adapter: Literal["none", "lora", "qlora", "prompt", "prefix"] = Field(
        "none",
        description="LoRA, LoRA on a base of 4 bits (needs a GPU), or virtual tokens, which want a tenfold rate;"
        " none: all weights.",
    )
    lora: LoRA | None = Field(
        None, description="The settings of the adapters lora and qlora; told alone, it is the adapter lora."
    )
    virtual_tokens: int = Field(20, ge=1, le=1024, description="How many the adapters prompt and prefix train.")
    loss_on: Literal["assistant", "completion"] = Field(
        "assistant", description="Learn every turn of the assistant's, or the last one of a conversation alone."
    )
    weights: tuple[float, ...] = Field(
        (), description="Shares of several datasets, in the order of the inputs; none shares by their sizes."
    )
    temperature: float = Field(
        1.0,
        ge=1,
        le=100,
        description="Of shares by size: 1 counts conversations alike, more makes datasets more alike. Weights go before it.",
    )
    epochs: float = Field(2, gt=0, le=100, description="Passes over the rows.")
    batch_size: int = Field(16, ge=1, le=4096, description="Conversations a step, packed or not.")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Peak learning rate.")
    max_length: int = Field(512, ge=16, le=131_072, description="Tokens of a conversation, and of a row, at most.")
    too_long: Literal["leave_out", "cut_turns"] = Field(
        "leave_out",
        description="Longer conversations are left out, or lose whole turns at their end; both are counted.",
    )
    packing: bool = Field(
        True,
        description="Several conversations in one row, isolated from each other: less padding. Not with virtual tokens.",
    )
    eval_every: int = Field(25, ge=1, description="Steps between held-out evaluations, samples and checkpoints.")
    sample_tokens: int = Field(
        48, ge=0, le=2048, description="Length of the samples shown while it learns; 0 shows none."
    )
    bf16: bool = Field(True, description="bfloat16 arithmetic; trained weights stay in float32.")
    seed: int = Field(0, ge=0, description="Of the order of the data, and of a fresh adapter.")
    parallel: Parallel | None = Field(None, description="Several processes share each step.")

    @model_validator(mode="before")
    @classmethod
    def lora_alone_is_an_adapter(cls, told: Any) -> Any:
        if isinstance(told, dict) and told.get("lora") is not None and told.get("adapter", "none") == "none":
            return {**told, "adapter": "lora"}
        return told

    @model_validator(mode="after")
    def lora_has_an_adapter(self) -> Self:
        if self.lora is not None and self.is_virtual:
            raise ValueError("lora has the settings of the adapters lora and qlora, not of virtual tokens")
        return self

    @model_validator(mode="after")
    def what_is_cut_can_be(self) -> Self:
        if self.parallel and self.adapter == "qlora":
            raise ValueError("qlora works in one process alone: choose the adapter lora, or leave parallel off")
        if self.parallel and self.parallel.strategy == "fsdp" and self.adapter != "none":
            raise ValueError("fsdp cuts whole models: for an adapter choose the strategy ddp")
        return self

    @model_validator(mode="after")
    def weights_are_shares(self) -> Self:
        if any(weight <= 0 for weight in self.weights):
            raise ValueError("weights are above 0; a dataset that is not to be learned is left out of the inputs")
        return self

    @property
    def is_virtual(self) -> bool:
        return self.adapter in ("prompt", "prefix")

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        count = sum(name.startswith("instructions") for name in inputs)
        if self.weights and count and len(self.weights) != count:
            return Lack(NOT_ONE_EACH, "weights")
        return None
