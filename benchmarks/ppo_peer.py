"""TRL's PPOTrainer a rollout at a time: told what to train, it goes on when its turn comes, and says what it came to.

Run by `benchmarks.ppo` with TRL 1.12.0 before everything else on the path.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from transformers.utils import logging
from trl.experimental.ppo import PPOConfig, PPOTrainer

from training.contract import Input
from training.mechanics import datasets, models
from training.recipes.lora import LoRA


def main() -> None:
    logging.set_verbosity_error()
    asked = json.loads(sys.argv[1])
    model, reward, prompts = (Input(asked[name], kind, "") for name, kind in
                              (("model", "model"), ("reward", "model"), ("prompts", "dataset")))  # fmt: skip
    tokenizer = models.load_tokenizer(model)
    tokenizer.padding_side = "left"
    dtype = torch.bfloat16 if asked["lora"] else torch.float32  # what is trained in full needs float32
    rows = [datasets.messages_of(row) for row in datasets.read_rows(prompts, split="train")]
    data = Dataset.from_list([{"input_ids": datasets.render_prompt(tokenizer, row)} for row in rows])
    policy = models.load_causal(model, dtype=dtype)
    trainer = PPOTrainer(
        args=settings(asked), processing_class=tokenizer, model=policy,
        ref_model=None if asked["lora"] else models.load_causal(model, dtype=dtype),
        reward_model=models.load_reward(reward, dtype=dtype), value_model=models.load_reward(reward, dtype=dtype),
        train_dataset=data, eval_dataset=data.select(range(asked["episodes"])), callbacks=[Turns()],
        peft_config=adapter(LoRA(**asked["lora"])) if asked["lora"] else None,
    )  # fmt: skip
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def adapter(lora: LoRA) -> LoraConfig:
    return LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def settings(asked: dict[str, Any]) -> PPOConfig:
    """Its defaults, but for what both sides have to share."""
    return PPOConfig(
        output_dir=asked["folder"], use_cpu=True, bf16=asked["bf16"], gradient_checkpointing=False, report_to="none",
        disable_tqdm=True, save_strategy="no", logging_steps=1, num_sample_generations=0, seed=asked["seed"],
        per_device_train_batch_size=asked["episodes"], gradient_accumulation_steps=1,
        num_mini_batches=asked["episodes"] // asked["minibatch"], num_ppo_epochs=asked["passes"],
        local_rollout_forward_batch_size=asked["episodes"], total_episodes=asked["episodes"] * asked["rollouts"],
        response_length=asked["max_new_tokens"], stop_token="eos", temperature=asked["temperature"],
        kl_coef=asked["kl_coefficient"], learning_rate=asked["learning_rate"], max_grad_norm=1.0,
    )  # fmt: skip


class Turns(TrainerCallback):  # type: ignore[misc]
    """Tells what a rollout came to, and waits for its next turn."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        if "objective/scores" in logs:
            self.last = {"reward": logs["objective/scores"], "kl": logs["objective/kl"]}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        print(json.dumps(self.last), flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
