"""A reward model's training steps on rankings of K texts: rankings a second, beside TRL's RewardTrainer on all their pairs.

`make bench-reward`, or `K=9 make bench-reward`; PRECISION=fp32 trains all weights in float32, else a LoRA in bfloat16;
LOSS=bradley_terry reads the comparisons that the peer reads, with its loss.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from datasets import Dataset, disable_progress_bars
from transformers.utils import logging
from trl import RewardConfig, RewardTrainer

from benchmarks import bench, limits, pairs
from training.contract import Input
from training.mechanics import models
from training.mechanics.people import rankings
from training.methods import reward
from training.recipes.lora import LoRA

K = int(os.environ.get("K", "4"))
FP32 = os.environ.get("PRECISION") == "fp32"
GROUPS, TOGETHER, RUNS = 12, 2 if K <= 4 else 1, 9 if K <= 4 else 5
PARTS = 1 if K <= 4 else 3  # of TRL's step: the 36 pairs of one ranking of 9 texts take more than 24 GB at once
LOSS = os.environ.get("LOSS", "plackett_luce")
AT_LEAST = {4: 4.0, 9: 10.0}


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        given = pairs.home_of_model(Path(folder, "model"))
        tokenizer = models.load_tokenizer(given)
        rows = pairs.rows_of(GROUPS, k=K, tokenizer=tokenizer, seed=0)
        count = K * (K - 1) // 2
        sides = {
            "ours": pairs.Steps(
                ours(Path(folder, "run"), given, rows, tokenizer), groups=GROUPS, pairs=1, together=TOGETHER
            ),
            "peer": pairs.Steps(
                peer(Path(folder, "peer"), given, rows, tokenizer),
                groups=GROUPS,
                pairs=count,
                together=TOGETHER,
                parts=PARTS,
            ),
        }
        found = bench.rates({name: side.step for name, side in sides.items()}, warm_up=1, runs=RUNS)
        rate = statistics.median(found["ours"])
        dtype = torch.float32 if FP32 else torch.bfloat16
        limit = limits.of_products("ranking", sides["ours"].step, rate=rate, dtype=dtype)
        lengths = [len(ids) for group in sides["ours"].trainer.train_dataset for ids in group.ids]
    told = {f"{side}_rankings_per_second": round(statistics.median(rates), 3) for side, rates in found.items()}
    bench.report(
        "reward", ours=found["ours"], peer=found["peer"], at_least=AT_LEAST.get(K, 1.0), k=K, torch=torch.__version__,
        precision="float32, all weights" if FP32 else "bfloat16, LoRA",
        tokens=round(statistics.mean(lengths)), loss=LOSS, **told, **limit,
    )  # fmt: skip


def ours(folder: Path, given: Input, rows: list[dict[str, Any]], tokenizer: Any) -> Any:
    recipe = {
        "lora": None if FP32 else LoRA().model_dump(),
        "bf16": not FP32,
        "loss": LOSS,
        "batch_size": TOGETHER,
        "center_rewards": 0,
    }
    context = pairs.open_run(folder, "reward", recipe, given)
    groups = rankings.of_comparisons(rows)
    if LOSS == "plackett_luce":
        groups = [whole(group) for group in groups]
    return reward.build(context, context.recipe, groups=groups, held_out=[], tokenizer=tokenizer)


def whole(group: rankings.Group) -> rankings.Group:
    """The order that its comparisons come from: `pairs.rows_of` names texts best first."""
    places = range(len(group.replies))
    return replace(group, orders=(rankings.Order(tuple((i,) for i in places), tuple(map(float, places)), 1.0),))


def peer(folder: Path, given: Input, rows: list[dict[str, Any]], tokenizer: Any) -> Any:
    """As its documentation has it, on the same model, adapter and precision."""
    torch.manual_seed(0)
    model = models.load_reward(given, dtype=torch.float32 if FP32 else torch.bfloat16)
    if not FP32:
        model = models.add_lora(model, LoRA(), task="reward")
    arguments = RewardConfig(
        output_dir=str(folder), use_cpu=True, bf16=not FP32, per_device_train_batch_size=TOGETHER * K * (K - 1) // 2,
        activation_checkpointing=False, report_to="none", disable_tqdm=True, max_length=512,
    )  # fmt: skip
    data = Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows])
    return RewardTrainer(model=model, args=arguments, processing_class=tokenizer, train_dataset=data)


if __name__ == "__main__":
    main()
