"""What fine-tuning on a task is told: labelled texts in, a model with a head that labels or finds out."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe
from training.recipes.lora import LoRA
from training.recipes.parallel import Parallel

TaskName = Literal["classification", "entities", "answers"]


class FinetuneRecipe(Recipe):
    summary: ClassVar[str] = "Fine-tune a pretrained model on a task: labels of texts, entities in them, or answers."
    inputs: ClassVar[dict[str, str]] = {"model": "model|model:masked", "labelled": "dataset:labelled"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "task"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"epochs": 3, "batch_size": 8, "learning_rate": 2e-3, "max_length": 64, "stride": 16, "bf16": False},
        "demo": {"epochs": 3, "batch_size": 16, "learning_rate": 2e-4, "max_length": 256, "eval_every": 50},
    }

    task: TaskName = Field(
        "classification",
        description="A label for each text, entities as labelled spans (NER), or answers to questions as spans of a text.",
    )
    lora: LoRA | None = Field(None, description="Train an adapter and the head instead of the whole model.")
    class_weights: bool = Field(
        False, description="Count each label alike in the loss, however rare it is; of a classification."
    )
    epochs: float = Field(3, gt=0, le=100, description="Passes over the rows.")
    batch_size: int = Field(16, ge=1, le=4096, description="Texts a step; of a long one, each window counts.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate, falling to 0.")
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Of the model while it learns the task; models pretrained here have none. None leaves it.",
    )
    max_length: int = Field(
        256,
        ge=16,
        le=131_072,
        description="Tokens of a window. Longer texts are cut for a label, and read in several windows for spans.",
    )
    stride: int = Field(64, ge=0, le=65_536, description="Tokens that two windows of one text share.")
    max_answer: int = Field(64, ge=1, le=4096, description="Tokens of the longest answer that is looked for.")
    eval_every: int = Field(25, ge=1, description="Steps between held-out evaluations and checkpoints.")
    beside_words: bool = Field(
        True, description="Fit a logistic regression on TF-IDF of words beside it: what a classification has to beat."
    )
    bf16: bool = Field(True, description="bfloat16 arithmetic; trained weights stay in float32.")
    seed: int = Field(0, ge=0, description="Of the head and of the order of the data.")
    parallel: Parallel | None = Field(None, description="Several processes share each step.")

    @model_validator(mode="after")
    def windows_go_on(self) -> Self:
        if self.stride * 2 > self.max_length:
            raise ValueError("stride is at most half of max_length: a window must reach beyond the one before")
        return self

    @model_validator(mode="after")
    def what_is_cut_can_be(self) -> Self:
        if self.parallel and self.parallel.strategy == "fsdp" and self.lora:
            raise ValueError("fsdp cuts whole models: for an adapter choose the strategy ddp")
        return self

    @model_validator(mode="after")
    def weights_are_of_labels(self) -> Self:
        if self.class_weights and self.task != "classification":
            raise ValueError("class_weights are of a classification")
        return self
