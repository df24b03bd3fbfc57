"""What the training of a reward model is told: the likelihood of people's rankings, and how far to trust each of them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe
from training.recipes.lora import LoRA


class RewardRecipe(Recipe):
    summary: ClassVar[str] = "Train a reward model on a preference dataset."
    inputs: ClassVar[dict[str, str]] = {"model": "model", "preferences": "dataset:preference"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "reward"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"lora": None, "epochs": 3, "batch_size": 5, "learning_rate": 1e-3, "max_length": 192, "bf16": False},
        "demo": {"epochs": 3, "batch_size": 2, "learning_rate": 2e-4, "max_length": 320, "eval_every": 20},
    }

    lora: LoRA | None = Field(LoRA(), description="Train an adapter and the reward head; none trains the whole model.")
    loss: Literal["plackett_luce", "bradley_terry"] = Field(
        "plackett_luce",
        description="The likelihood of whole rankings, ties included, or of their comparisons one by one.",
    )
    rater_weights: Literal["none", "estimated"] = Field(
        "none",
        description="Count raters alike, or by how reliably they agree with the others who ranked the same texts.",
    )
    heads: int = Field(
        1,
        ge=1,
        le=16,
        description="Heads that see different resamples of the prompts; 3 or more tell how sure they are.",
    )
    caution: float = Field(
        0.5, ge=0, le=10, description="Standard deviations of several heads that are taken off their mean score."
    )
    groups: Literal["none", "estimated", "campaign"] = Field(
        "none",
        description="One head for all raters, or for each group, estimated by who agrees or named by the campaign; their mean.",
    )
    num_groups: int = Field(2, ge=2, le=8, description="Groups of raters, where they are estimated.")
    debias_length: bool = Field(
        False, description="Take out of scores what they rise by with the length of the answer."
    )
    epochs: float = Field(2, gt=0, le=20, description="Passes over the prompts.")
    batch_size: int = Field(8, ge=1, le=1024, description="Prompts a step, each with all its ranked texts.")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Peak learning rate, falling to 0.")
    max_length: int = Field(
        512, ge=16, le=131_072, description="Longer texts, prompt included, take no part, and are counted."
    )
    center_rewards: float = Field(
        0.01, ge=0, le=1, description="Weight of the squared sum of rewards of two texts: keeps rewards around 0."
    )
    use_margin: bool = Field(False, description="Demand a margin by the strength of the preference (Llama 2).")
    eval_every: int = Field(10, ge=1, description="Steps between held-out evaluations and checkpoints.")
    bf16: bool = Field(True, description="bfloat16 arithmetic; trained weights stay in float32.")
    seed: int = Field(0, ge=0, description="Of the reward head and of the order of the data.")

    @model_validator(mode="after")
    def one_kind_of_heads(self) -> Self:
        if self.heads > 1 and self.groups != "none":
            raise ValueError("several heads are an ensemble or those of groups of raters, not both")
        return self

    @model_validator(mode="after")
    def estimated_groups_are_counted(self) -> Self:
        if self.groups == "campaign" and self.num_groups != type(self).model_fields["num_groups"].default:
            raise ValueError("num_groups is of estimated groups: a campaign's are as many as it names")
        return self
