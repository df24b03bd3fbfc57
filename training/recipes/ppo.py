"""What PPO is told."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe
from training.recipes.lora import LoRA
from training.recipes.vllm import Vllm


class PpoRecipe(Recipe):
    summary: ClassVar[str] = "Train a policy on a reward model by PPO (Schulman et al. 2017; Ziegler et al. 2019)."
    inputs: ClassVar[dict[str, str]] = {
        "model": "model",
        "reward": "model:reward",
        "prompts": "dataset:prompts",
        "corpus?": "dataset:corpus",
    }
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "policy"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"lora": None, "episodes": 384, "batch_size": 32, "minibatch_size": 16, "max_new_tokens": 24,
                 "learning_rate": 5e-4, "target_kl": 6.0, "kl_horizon": 500, "bf16": False},
        # Two passes and 48 tokens: on 2 cores the passes are most of the time. So few steps need a high rate, and
        # a controller that reacts within the run's own number of episodes. No penalty for what is cut: raters have
        # judged cut texts too, so the reward model knows what an end is worth, and nobody ranked for more.
        "demo": {"episodes": 512, "batch_size": 32, "samples_per_prompt": 4, "minibatch_size": 8, "epochs": 2,
                 "max_new_tokens": 48, "learning_rate": 2e-4, "kl_horizon": 500, "missing_eos_penalty": 0.0},
    }  # fmt: skip

    lora: LoRA | None = Field(LoRA(), description="Train an adapter; none trains the whole model.")
    vllm: Vllm | None = Field(
        None, description="Completions are sampled by a vLLM server of the run's own; none samples with our own engine."
    )
    episodes: int = Field(512, ge=1, le=100_000_000, description="Completions sampled in all.")
    batch_size: int = Field(32, ge=1, le=65_536, description="Completions a rollout.")
    samples_per_prompt: int = Field(
        1, ge=1, le=256, description="Completions of a prompt in a rollout; it is read once for all of them."
    )
    minibatch_size: int = Field(8, ge=1, le=65_536, description="Completions a gradient step; divides the batch.")
    epochs: int = Field(4, ge=1, le=32, description="Passes over each rollout.")
    max_new_tokens: int = Field(
        64, ge=1, le=32_768, description="Completions are sampled to this length and cut at their end."
    )
    temperature: float = Field(1.0, gt=0, le=2, description="Of sampling; log-probabilities are taken at the same one.")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="Of the policy, falling to 0.")
    critic_learning_rate: float = Field(
        1e-3, gt=0, le=1, description="Of the critic, falling to 0; it is small and new, so it learns faster."
    )
    kl_coefficient: float = Field(
        0.05, ge=0, le=10, description="First price of a nat of KL to the reference, per token."
    )
    target_kl: float | None = Field(
        6.0, gt=0, description="Nats a completion that the price is steered to; none keeps it fixed."
    )
    kl_horizon: int = Field(10_000, ge=1, description="Episodes in which the price reacts.")
    stop_kl: float = Field(
        0.1, gt=0, description="Nats a token: a rollout's passes end when a minibatch has moved further from it."
    )
    gamma: float = Field(1.0, gt=0, le=1, description="Discount.")
    lam: float = Field(0.95, ge=0, le=1, description="Of generalised advantage estimation.")
    clip: float = Field(0.2, gt=0, lt=1, description="Of the policy's ratio.")
    clip_value: float = Field(0.2, gt=0, description="Of the critic's change.")
    missing_eos_penalty: float = Field(
        1.0,
        ge=0,
        description="Taken from the score of a completion that did not end: an aim beside the reward model's.",
    )
    reward_clip: float = Field(5.0, gt=0, description="Normalised scores are cut here.")
    ptx_weight: float = Field(
        0.2,
        ge=0,
        le=100,
        description="Of the likelihood of the corpus, where one is given: what keeps it fluent (PPO-ptx).",
    )
    ptx_length: int = Field(128, ge=8, le=131_072, description="Tokens of a row of the corpus.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients of policy and critic are clipped to this norm.")
    checkpoint_every: int = Field(2, ge=1, description="Rollouts between checkpoints and samples.")
    bf16: bool = Field(True, description="bfloat16 base weights and autocast.")
    seed: int = Field(0, ge=0, description="Of sampling and of the order of the data.")

    @model_validator(mode="after")
    def minibatches_divide_the_batch(self) -> PpoRecipe:
        if self.batch_size % self.minibatch_size:
            raise ValueError("minibatch_size must divide batch_size")
        if self.minibatch_size % self.samples_per_prompt:
            raise ValueError("samples_per_prompt must divide minibatch_size")
        return self
