"""What both sides of the PPO benchmark train on: a policy, a reward model and prompts, as folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from benchmarks import pairs
from tests.training import tiny, tiny_reward
from training import contract
from training.contract import Input
from training.mechanics import models
from training.recipes.lora import LoRA

EPISODES, MINIBATCH, PASSES = 32, 8, 4  # a rollout
SAMPLES = 4  # of a prompt, on our side; TRL takes each prompt as it comes, as many times in all
PROMPTS = 64
LENGTHS = {"smollm": 48, "small": 32}  # tokens that are sampled
RATES = {"smollm": 5e-5, "small": 1e-3}
SCALE = 23.3  # of the share of capitals: texts of the untrained policy then differ by 1, so both sides pay alike for KL


@dataclass(frozen=True, slots=True)
class House:
    inputs: dict[str, Input]
    recipe: dict[str, Any]

    def for_peer(self) -> dict[str, Any]:
        folders = {name: given.path for name, given in self.inputs.items()}
        return {**folders, **self.recipe, "episodes": EPISODES, "minibatch": MINIBATCH, "passes": PASSES}


def build(folder: Path, name: str, *, seed: int) -> House:
    lora = LoRA().model_dump() if name == "smollm" else None
    recipe = {
        "lora": lora, "bf16": True, "max_new_tokens": LENGTHS[name], "learning_rate": RATES[name],
        "kl_coefficient": 0.05, "temperature": 1.0, "seed": seed,
    }  # fmt: skip
    model, reward = chat(folder) if name == "smollm" else small(folder, seed=seed)
    asked = [f"Tell me about the number {number}, and why it matters." for number in range(PROMPTS)]
    rows = [{"id": str(at), "messages": [tiny.user(words)]} for at, words in enumerate(asked)]
    prompts = tiny.write_dataset(folder / "prompts", rows)
    return House({"model": model, "reward": reward, "prompts": prompts}, recipe)


def chat(folder: Path) -> tuple[Input, Input]:
    """SmolLM2-135M-Instruct, and a reward model of the same trunk with a fresh head: here only its speed counts."""
    model = pairs.home_of_model(folder / "model")
    torch.manual_seed(0)
    fresh = models.load_reward(model, dtype=torch.float32)
    fresh.save_pretrained(folder / "reward")
    models.load_tokenizer(model).save_pretrained(folder / "reward")
    models.write_reward_scale(folder / "reward", 0.0, 1.0)
    return model, as_input(folder / "reward")


def small(folder: Path, *, seed: int) -> tuple[Input, Input]:
    """A policy that writes letters by lot, and a reward model of its size that counts capitals among them."""
    torch.manual_seed(seed)
    words = tiny.tokenizer()
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=256, tie_word_embeddings=True, pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id, bos_token_id=words.convert_tokens_to_ids("<|im_start|>"),
    )  # fmt: skip
    policy = LlamaForCausalLM(config)
    policy.save_pretrained(folder / "model")
    words.save_pretrained(folder / "model")
    tiny_reward.write_reward_model(folder / "reward", width=config.hidden_size, layers=config.num_hidden_layers)
    judge = LlamaForSequenceClassification.from_pretrained(folder / "reward")
    with torch.no_grad():
        judge.score.weight *= SCALE
    judge.save_pretrained(folder / "reward")
    models.write_reward_scale(folder / "reward", 0.0, 1.0)
    return as_input(folder / "model"), as_input(folder / "reward")


def as_input(folder: Path) -> Input:
    return Input(str(folder), "model", contract.tree_sha256(contract.folder_files(folder)))
