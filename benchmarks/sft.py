"""Steps of supervised fine-tuning: conversations a second, beside TRL's SFTTrainer by its defaults and at its best.

`make bench-sft`; with TINY=1 on a small model, in seconds, to see that it runs; with ADAPTER=lora for LoRA on a base in
bfloat16 instead of all weights. SmolLM2-135M-Instruct learns the demo's questions and answers about the State of the Union
addresses, and a step has the same conversations on all sides: forwards, backwards, and the optimiser.

TRL by its defaults pads each batch of 8; at its best it packs. Where flash attention is missing, a batch of packs in one row
costs attention that is quadratic in the batch, so its best here is one pack at a time, with gradients added up: both are
measured, and `ratio` is over the faster one. All read the very same tokens and labels, and the first losses must agree.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from datasets import Dataset, disable_progress_bars
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined]

from benchmarks import bench, limits, pairs
from rlhf.demo import instructions
from training.contract import Input
from training.mechanics import models
from training.mechanics.instructions.packs import talks_in
from training.mechanics.instructions.talks import encode, read_talks
from training.mechanics.instructions.trained import load_trained
from training.mechanics.trainers.samples import Show
from training.methods import sft

ADAPTER = os.environ.get("ADAPTER", "none")
TALKS, RUNS = (8, 1) if pairs.TINY else (32, 5)  # conversations a step
MAX_LENGTH = 256 if pairs.TINY else 512
BF16_LOSES = 0.01  # of a loss: a mean over a thousand tokens


class Steps:
    """A trainer's own steps on the same conversations again and again, in batches of its own making."""

    def __init__(self, trainer: Any, *, size: int) -> None:
        self.trainer = trainer
        trainer.create_optimizer()
        self.model = trainer.accelerator.prepare_model(trainer.model)
        rows = [trainer.train_dataset[i] for i in range(len(trainer.train_dataset))]
        self.batches = [rows[start : start + size] for start in range(0, len(rows), size)]

    def learn(self) -> float:
        """Forwards and backwards; says the loss."""
        self.trainer.current_gradient_accumulation_steps = len(self.batches)
        batches = [self.trainer.data_collator(rows) for rows in self.batches]
        labels = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
        told = torch.tensor(labels)
        return sum(self.trainer.training_step(self.model, batch, num_items_in_batch=told).item() for batch in batches)

    def step(self) -> int:
        """Says how many conversations it was."""
        self.learn()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.trainer.optimizer.step()
        self.model.zero_grad()
        return TALKS


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        given = pairs.home_of_model(Path(folder, "model"))
        tokenizer = models.load_tokenizer(given)
        talks = read_talks(list(islice(instructions.rows("train"), TALKS)))
        examples = [encode(tokenizer, talk) for talk in talks]
        own = ours(Path(folder, "ours"), given, examples, tokenizer)
        packs = own.args.per_device_train_batch_size
        packed = peer(Path(folder, "packed"), given, examples, tokenizer, packing=True)
        sides = {
            "ours": Steps(own, size=packs),
            "default": Steps(peer(Path(folder, "default"), given, examples, tokenizer, packing=False), size=8),
            "packed": Steps(packed, size=packs),
            "one_pack": Steps(packed, size=1),
        }
        first = {}
        for name, side in sides.items():
            first[name] = side.learn()
            side.model.zero_grad()
        apart = max(first.values()) - min(first.values())
        assert apart < BF16_LOSES, f"not the same loss on the same conversations: {first}"
        found = bench.rates({name: side.step for name, side in sides.items()}, warm_up=1, runs=RUNS)
        rate = statistics.median(found["ours"])
        limit = limits.of_products("conversation", sides["ours"].step, rate=rate, dtype=torch.bfloat16)
    best = max(("packed", "one_pack"), key=lambda name: statistics.median(found[name]))
    over_default = statistics.median(a / b for a, b in zip(found["ours"], found["default"], strict=True))
    rates = {f"{side}_conversations_per_second": round(statistics.median(own), 3) for side, own in found.items()}
    losses = {f"{name}_first_loss": round(loss, 5) for name, loss in first.items()}
    bench.report(
        "sft", ours=found["ours"], peer=found[best], at_least=0.97, peer_is=best, over_default=round(over_default, 3),
        over_default_at_least=2.0, adapter=ADAPTER, torch=torch.__version__, tiny=pairs.TINY, conversations=TALKS,
        tokens=sum(len(one.input_ids) for one in examples), packs=sum(1 for _ in talks_in(own.train_dataset)),
        loss_apart=round(apart, 5), **rates, **losses, **limit,
    )  # fmt: skip


def ours(folder: Path, given: Input, examples: list[Any], tokenizer: Any) -> Any:
    recipe = {"adapter": ADAPTER, "batch_size": TALKS, "max_length": MAX_LENGTH, "sample_tokens": 0}
    context = pairs.open_run(folder, "sft", recipe, given)
    source = sft.Source("sotu", examples, [], [])
    return sft.build(context, context.recipe, sources=[source], tokenizer=tokenizer, show=Show([], [], 0))


def peer(folder: Path, given: Input, examples: list[Any], tokenizer: Any, *, packing: bool) -> Any:
    """Of the same model, weights in the same precision, and the same tokens; all else as TRL has it."""
    context = pairs.open_run(folder / "run", "sft", {"adapter": ADAPTER}, given)
    arguments = SFTConfig(
        output_dir=str(folder), use_cpu=not torch.cuda.is_available(), bf16=True, packing=packing, max_length=MAX_LENGTH,
        activation_checkpointing=False, report_to="none", disable_tqdm=True, learning_rate=5e-4,
    )  # fmt: skip
    data = Dataset.from_list([{"input_ids": one.input_ids, "labels": one.labels} for one in examples])
    return SFTTrainer(
        model=load_trained(context, context.recipe, train=examples),
        args=arguments, processing_class=tokenizer, train_dataset=data,
    )  # fmt: skip


if __name__ == "__main__":
    main()
