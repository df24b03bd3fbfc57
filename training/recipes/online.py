"""What methods are told that learn from the rewards of groups: several completions of one prompt, compared with each other."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.recipes.base import Lack, OutputKind, Recipe
from training.recipes.lora import LoRA
from training.recipes.vllm import Vllm

NO_REWARD = "Nobody would score the completions: choose a reward model, or let people vote."


class Votes(BaseModel):
    """People rank each prompt's completions before they are learned from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deadline_minutes: float = Field(
        60.0, gt=0, le=20_160, description="Minutes that each rollout waits for people; then it goes on without them."
    )
    against_first: bool = Field(
        False,
        description="A text of the model that the run began from in each task; where people prefer those, the run ends.",
    )


class OnlineRecipe(Recipe):
    """The fields that RLOO, GRPO and online DPO share."""

    inputs: ClassVar[dict[str, str]] = {"model": "model", "reward?": "model:reward", "prompts": "dataset:prompts"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "policy"
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    lora: LoRA | None = Field(LoRA(), description="Train an adapter; none trains the whole model.")
    vllm: Vllm | None = Field(
        None, description="Completions are sampled by a vLLM server of the run's own; none samples with our own engine."
    )
    votes: Votes | None = Field(
        None, description="People rank the completions; what they leave is scored by the reward model, or left out."
    )
    episodes: int = Field(512, ge=1, le=100_000_000, description="Completions sampled in all.")
    batch_size: int = Field(32, ge=2, le=65_536, description="Completions a rollout.")
    k: int = Field(4, ge=2, le=64, description="Completions a prompt, which are compared; divides the batch.")
    minibatch_size: int = Field(8, ge=2, le=65_536, description="Completions a gradient step; divides the batch.")
    epochs: int = Field(1, ge=1, le=32, description="Passes over each rollout.")
    max_new_tokens: int = Field(
        64, ge=1, le=32_768, description="Completions are sampled to this length and cut at their end."
    )
    temperature: float = Field(1.0, gt=0, le=2, description="Of sampling; log-probabilities are taken at the same one.")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="Of the policy, falling to 0.")
    target_kl: float | None = Field(
        6.0, gt=0, description="Nats a completion: training ends early where it stays beyond twice as many; none never."
    )
    stop_kl: float = Field(
        0.1, gt=0, description="Nats a token: a rollout's passes end when a minibatch has moved further from it."
    )
    missing_eos_penalty: float = Field(
        0.0,
        ge=0,
        description="Taken from the reward model's score of a completion that did not end; people's orders stand.",
    )
    reward_clip: float = Field(5.0, gt=0, description="Normalised scores are cut here.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    checkpoint_every: int = Field(2, ge=1, description="Rollouts between checkpoints and samples.")
    bf16: bool = Field(True, description="bfloat16 base weights and autocast.")
    seed: int = Field(0, ge=0, description="Of sampling and of the order of the data.")

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        return None if self.votes or "reward" in inputs else Lack(NO_REWARD, "reward")

    @model_validator(mode="after")
    def parts_divide_the_batch(self) -> Self:
        if self.batch_size % self.minibatch_size:
            raise ValueError("minibatch_size must divide batch_size")
        if self.batch_size % self.k:
            raise ValueError("k must divide batch_size")
        return self


TINY: dict[str, Any] = {
    "lora": None, "episodes": 384, "batch_size": 32, "minibatch_size": 16, "max_new_tokens": 24, "learning_rate": 1e-3,
    "bf16": False,
}  # fmt: skip
DEMO: dict[str, Any] = {
    "episodes": 512, "batch_size": 32, "minibatch_size": 8, "epochs": 2, "max_new_tokens": 48, "learning_rate": 2e-4,
}  # fmt: skip
