"""Pretraining to the same held-out bits per byte: seconds, beside GPT-2 with AdamW in transformers' Trainer, its own defaults.

`make bench-pretrain`; with TINY=1 in seconds, to see that it runs. Both sides have the same tokenizer, training text, held-out
text, precision (bfloat16 autocast) and parameters within 3 %. First the peer trains to its end: what it reaches there is the
mark. Then our run goes, which stops its clock at the first evaluation that is as good; clocks run over training alone,
evaluations and checkpoints left out on both sides. Our rows' tokenising is inside our clock. Muon's own products cost the same
whatever the batch, so ours takes more rows a step, and fewer steps.

Then steps of the same class (GPT-2, as ours and as the peer's) by turns: tokens a second, and the part of the machine's limit
for these products that ours reaches. The peer's rate is the best of `RATES` in a short run; ours are the recipe's.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset, disable_progress_bars
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging

from benchmarks import bench, limits
from rlhf.demo import corpus
from training import __main__ as program
from training import contract
from training.context import RunContext
from training.contract import Input, Spec
from training.mechanics import models
from training.mechanics.corpus.bits import bits_per_byte
from training.mechanics.corpus.packing import Stream
from training.mechanics.pretraining.optimizers import share_at
from training.mechanics.pretraining.step import one_step
from training.mechanics.pretraining.work import Work, prepare, shards

TINY = bool(os.environ.get("TINY"))
VOCABULARY, CONTEXT, STEPS, BATCH, EVERY = (512, 64, 20, 4, 5) if TINY else (4096, 256, 1200, 8, 25)
TEXTS = 200 if TINY else 10**6
SIZE = (
    {"hidden_size": 64, "num_layers": 2, "num_heads": 4}
    if TINY
    else {"hidden_size": 256, "num_layers": 6, "num_heads": 4}
)
RATES, TRIED = ((1e-3, 3e-3), 5) if TINY else ((5e-4, 1e-3, 2e-3, 4e-3), 100)
RATES = tuple(json.loads(os.environ["RATES"])) if "RATES" in os.environ else RATES  # of the peer: RATES='[5e-4]'
# What is to be beaten is known beforehand, so ours may be tried otherwise: OURS='{"batch_size": 8}' SHORTER=0.6
OURS = {"architecture": "qwen3", "optimizer": "muon", "schedule": "wsd", "learning_rate": 1e-2, "muon_learning_rate": 0.02,
        "warmup_steps": 20, "decay_share": 0.3, "weight_decay": 0.1, "batch_size": 2 * BATCH}  # fmt: skip
OURS |= json.loads(os.environ.get("OURS", "{}"))
SHORTER = float(os.environ.get("SHORTER", "0.4"))  # of the peer's tokens: ours decays its rate over so many

WARM_UP, RUNS, TOGETHER = (1, 2, 1) if TINY else (1, 7, 8)


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        inputs = prepared(Path(folder))
        # A run of ours opens the text for both: the peer is given the very tokens.
        opened = open_work(Path(folder, "open"), inputs, architecture="gpt2", steps=STEPS)
        held_out = shards(opened.context, opened.tokenizer, "test", most=10**5)
        told = to_the_mark(Path(folder), inputs, opened, held_out)
        same = same_class(Path(folder), inputs, opened)
    line = told | same
    ratio = line["peer_seconds"] / line["ours_seconds"] if line["ours_seconds"] else 0.0
    print(json.dumps({"bench": "pretrain", "ratio": round(ratio, 3), "at_least": 2.0, "machine": bench.machine(),
                      "torch": torch.__version__, "tiny": TINY, **line}))  # fmt: skip


def prepared(folder: Path) -> dict[str, Input]:
    """The addresses as a corpus, and a tokenizer of them, made as runs make them."""
    data = folder / "corpus/data"
    data.mkdir(parents=True)
    for split in ("train", "test"):
        rows = [row for row, _ in zip(corpus.rows(split), range(TEXTS), strict=False)]
        pq.write_table(pa.Table.from_pylist(rows), data / f"{split}-00000-of-00001.parquet")
    given = Input(str(folder / "corpus"), "dataset", contract.tree_sha256(contract.folder_files(folder / "corpus")))
    run_dir = written(folder / "tokenizer", "tokenizer", {"vocab_size": VOCABULARY}, {"corpus": given})
    assert program.run(run_dir) == contract.EXIT_DONE
    return {"corpus": given, "tokenizer": Input(str(run_dir / "output"), "tokenizer", "")}


def written(folder: Path, method: str, recipe: dict[str, Any], inputs: dict[str, Input]) -> Path:
    folder.mkdir()
    (folder / contract.SPEC).write_text(
        Spec(run=folder.name, method=method, recipe=recipe, inputs=inputs, seed=0).dump()
    )
    return folder


def open_work(folder: Path, inputs: dict[str, Input], **more: Any) -> Work:
    recipe = SIZE | {"context": CONTEXT, "batch_size": BATCH, "eval_every": EVERY} | more
    context = RunContext.open(written(folder, "pretrain", recipe, inputs))
    return prepare(context, context.recipe)


def bits_of(model: Any, held_out: Stream) -> float:
    def autocast() -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    return bits_per_byte(
        model, held_out, length=CONTEXT, batch_size=16, autocast=autocast, tell=lambda done, total: None
    )


# To the mark


def to_the_mark(folder: Path, inputs: dict[str, Input], opened: Work, held_out: Stream) -> dict[str, Any]:
    tried = {rate: peer_run(folder, opened, held_out, rate=rate, steps=TRIED)[1] for rate in RATES}
    print(f"GPT-2 after {TRIED} steps, bits a byte by rate: {tried}")
    rate = min(tried, key=tried.__getitem__)
    peer_seconds, mark, size = peer_run(folder, opened, held_out, rate=rate, steps=STEPS)
    print(f"GPT-2, AdamW at {rate}: {mark:.4f} bits a byte after {peer_seconds:.0f} s, {size:,} parameters")
    seconds, steps, reached, ours = our_run(folder, inputs, held_out, mark=mark)
    print(f"ours: {reached:.4f} bits a byte after {seconds:.0f} s and {steps} steps, {ours:,} parameters")
    return {
        "bits_per_byte": round(mark, 4), "peer_seconds": round(peer_seconds, 1), "peer_learning_rate": rate,
        "ours_seconds": round(seconds, 1) if reached <= mark else None, "ours_steps": steps, "peer_steps": STEPS,
        "ours_bits_per_byte": round(reached, 4), "parameters": {"peer": size, "ours": ours},
    }  # fmt: skip


def peer_model(opened: Work) -> Any:
    """GPT-2 as its configuration has it, without dropout: in one pass over its text that could but slow it."""
    torch.manual_seed(0)
    width, layers, heads = SIZE["hidden_size"], SIZE["num_layers"], SIZE["num_heads"]
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=len(opened.tokenizer), n_positions=CONTEXT, n_embd=width, n_layer=layers, n_head=heads, **none,
        bos_token_id=opened.tokenizer.bos_token_id, eos_token_id=opened.tokenizer.eos_token_id,
    ))  # fmt: skip


class Clock(TrainerCallback):
    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds = time.perf_counter() - self.began


def peer_trainer(folder: Path, opened: Work, *, rate: float, steps: int, callbacks: list[Any]) -> Trainer:
    rows = [opened.rows.row(number) for number in range(steps * BATCH)]
    data = Dataset.from_dict({"input_ids": np.stack(rows), "labels": np.stack(rows)})
    arguments = TrainingArguments(
        output_dir=str(folder / "peer"), use_cpu=True, bf16=True, per_device_train_batch_size=BATCH, max_steps=steps,
        learning_rate=rate, lr_scheduler_type="cosine", warmup_steps=max(1, steps // 30), weight_decay=0.1,
        adam_beta2=0.95, max_grad_norm=1.0, save_strategy="no", report_to="none", disable_tqdm=True,
        logging_steps=50, seed=0,
    )  # fmt: skip
    return Trainer(
        model=peer_model(opened), args=arguments, train_dataset=data.with_format("torch"), callbacks=callbacks
    )


def peer_run(folder: Path, opened: Work, held_out: Stream, *, rate: float, steps: int) -> tuple[float, float, int]:
    clock = Clock()
    trainer = peer_trainer(folder, opened, rate=rate, steps=steps, callbacks=[clock])
    trainer.train()
    return clock.seconds, bits_of(trainer.model, held_out), models.count_parameters(trainer.model)


def our_run(folder: Path, inputs: dict[str, Input], held_out: Stream, *, mark: float) -> tuple[float, int, float, int]:
    steps = math.ceil(SHORTER * STEPS * BATCH / OURS["batch_size"])
    began = time.perf_counter()
    work = open_work(folder / "ours", inputs, **OURS, steps=steps)
    seconds, reached = time.perf_counter() - began, math.inf
    while work.position.step < steps and reached > mark:
        began = time.perf_counter()
        one_step(work, share_at(work.position.step, work.recipe))
        seconds += time.perf_counter() - began
        if work.position.step % EVERY == 0 or work.position.step == steps:
            reached = bits_of(work.model, held_out)
    return seconds, work.position.step, reached, models.count_parameters(work.model)


# The same class


def same_class(folder: Path, inputs: dict[str, Input], opened: Work) -> dict[str, Any]:
    """Whole steps of both loops, those of the peer inside `train`, whose start is left out."""
    work = open_work(folder / "same", inputs, architecture="gpt2", steps=10_000)
    found: dict[str, list[float]] = {"ours": [], "peer": []}

    def ours() -> int:
        for _ in range(TOGETHER):
            one_step(work, 1.0)
        return TOGETHER * BATCH * CONTEXT

    for number in range(WARM_UP + RUNS):
        began = time.perf_counter()
        tokens = ours()
        ours_seconds = time.perf_counter() - began
        clock = Clock()
        peer_trainer(folder, opened, rate=1e-3, steps=TOGETHER, callbacks=[clock]).train()
        if number >= WARM_UP:
            found["ours"].append(tokens / ours_seconds)
            found["peer"].append(tokens / clock.seconds)
    rate = statistics.median(found["ours"])
    limit = limits.of_products("token", ours, rate=rate, dtype=torch.bfloat16)
    ratio = statistics.median(a / b for a, b in zip(found["ours"], found["peer"], strict=True))
    return {
        "same_class_ratio": round(ratio, 3), "same_class_at_least": 1.3, "ours_tokens_per_second": round(rate),
        "peer_tokens_per_second": round(statistics.median(found["peer"])), **limit,
    }  # fmt: skip


if __name__ == "__main__":
    main()
