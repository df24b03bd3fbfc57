"""Rankings of made-up texts of a stated length, as comparisons for a trainer of ours and of TRL alike; shared by benchmarks."""

from __future__ import annotations

import os
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.sampling import chat_model
from training import contract
from training.context import RunContext
from training.contract import Input, Spec

TINY = os.environ.get("TINY") == "1"
TOKENS = 112  # words of one token each; the chat template adds about 15


def rows_of(groups: int, *, k: int, tokenizer: Any, seed: int) -> list[dict[str, Any]]:
    """All K(K-1)/2 comparisons of `groups` prompts: a text with more even words among its first is the better one."""
    luck = random.Random(seed)
    words = [
        token for token in tokenizer.get_vocab() if token.startswith("Ġ") and token[1:].isalpha() and len(token) < 8
    ]
    words = sorted(words)[:2000]

    def text() -> str:
        return "".join(luck.choices(words, k=TOKENS)).replace("Ġ", " ").strip()

    rows = []
    for group in range(groups):
        prompt, texts = text(), [text() for _ in range(k)]
        for number, (a, b) in enumerate(combinations(texts, 2)):
            rows.append(
                {
                    "id": f"{group}-{number}", "prompt": [{"role": "user", "content": prompt}],
                    "chosen": [{"role": "assistant", "content": a}], "rejected": [{"role": "assistant", "content": b}],
                    "weight": 1 / (k * (k - 1) / 2), "margin": 1.0, "group_id": f"g{group:04}", "rater": "r",
                }
            )  # fmt: skip
    return rows


def home_of_model(folder: Path) -> Input:
    """SmolLM2-135M-Instruct as a folder of safetensors; with TINY=1 two blocks of 64, to try a benchmark in seconds."""
    model, tokenizer = chat_model()
    if TINY:
        small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = LlamaConfig(**(model.config.to_dict() | small | {"num_key_value_heads": 2, "head_dim": 16}))
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    tokenizer.pad_token = "<|endoftext|>"
    model.float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Input(str(folder), "model", contract.tree_sha256(contract.folder_files(folder)))


def open_run(folder: Path, method: str, recipe: dict[str, Any], model: Input) -> RunContext:
    """A run that nobody will finish: what a trainer of ours is built from."""
    folder.mkdir(parents=True)
    spec = Spec(run=folder.name, method=method, recipe=recipe, inputs={"model": model}, seed=0)
    (folder / contract.SPEC).write_text(spec.dump())
    return RunContext.open(folder)


class Steps:
    """A trainer's own steps, forwards and backwards, group by group; weights stay as they are.

    `parts`: so many batches of a step's rows one after the other, their gradients added up, where memory holds no more.
    """

    def __init__(self, trainer: Any, *, groups: int, pairs: int, together: int, parts: int = 1) -> None:
        self.trainer = trainer
        trainer.current_gradient_accumulation_steps = 1  # as `train` would set it
        self.model = trainer.accelerator.prepare_model(trainer.model)
        self.batches = [
            range(start * pairs, min(start + together, groups) * pairs) for start in range(0, groups, together)
        ]
        self.together, self.parts = together, parts
        self.next = 0
        self.losses: list[float] = []

    def step(self) -> int:
        """One batch of `together` rankings; says how many."""
        rows = [self.trainer.train_dataset[i] for i in self.batches[self.next % len(self.batches)]]
        self.next += 1
        size = -(-len(rows) // self.parts)
        for start in range(0, len(rows), size):
            batch = self.trainer.data_collator(rows[start : start + size])
            self.losses.append(self.trainer.training_step(self.model, batch).item())
        self.model.zero_grad()
        return self.together
