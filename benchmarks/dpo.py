"""DPO's training steps on rankings of K texts: rankings a second, beside TRL's DPOTrainer with its defaults on all their pairs.

`make bench-dpo`, or `K=9 make bench-dpo`; with TINY=1 on a small model, in seconds, to see that it runs. The reference's
log-probabilities are taken beforehand on our side, as a run does it, and in every step on TRL's, as its default has it.

Both sides learn the same comparisons with the same weights: once the reference is taken, both adapters are moved by the same
numbers, so that losses are not ln 2 for want of any difference. Then the first batch is compared; a difference beyond what
bfloat16 loses ends the benchmark before it measures.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from datasets import Dataset, disable_progress_bars
from transformers.utils import logging
from trl import DPOConfig, DPOTrainer

from benchmarks import bench, limits, pairs
from training.contract import Input
from training.mechanics import models
from training.methods import dpo
from training.recipes.lora import LoRA

K = int(os.environ.get("K", "4"))
GROUPS, TOGETHER, RUNS = (2, 1, 1) if pairs.TINY else (6, 2, 7)
MOVED = 0.02  # of each weight of the adapters
BF16_LOSES = 0.05  # of a loss: 8 bits, over sums of a hundred log-probabilities


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        given = pairs.home_of_model(Path(folder, "model"))
        tokenizer = models.load_tokenizer(given)
        rows = pairs.rows_of(GROUPS, k=K, tokenizer=tokenizer, seed=0)
        count = K * (K - 1) // 2
        made = {side.__name__: side(Path(folder, side.__name__), given, rows, tokenizer) for side in (ours, peer)}
        made["ours"].take_reference()
        for trainer in made.values():
            move(trainer.model)
            trainer.state.global_step = 1  # ours refuses a first step whose loss is not ln 2
        sides = {
            name: pairs.Steps(trainer, groups=GROUPS, pairs=count, together=TOGETHER) for name, trainer in made.items()
        }
        # Before anything is measured: the same losses on the same comparisons.
        for side in sides.values():
            side.step()
        apart = abs(sides["ours"].losses[0] - sides["peer"].losses[0])
        assert apart < BF16_LOSES, f"not the same loss on the same comparisons: {apart:.4f} apart"
        found = bench.rates({name: side.step for name, side in sides.items()}, warm_up=1, runs=RUNS)
        rate = statistics.median(found["ours"])
        limit = limits.of_products("ranking", sides["ours"].step, rate=rate, dtype=torch.bfloat16)
    told = {f"{side}_rankings_per_second": round(statistics.median(rates), 3) for side, rates in found.items()}
    first = {f"{name}_loss": round(side.losses[0], 5) for name, side in sides.items()}
    bench.report(
        "dpo", ours=found["ours"], peer=found["peer"], at_least=3.0, k=K, torch=torch.__version__,
        precision="bfloat16, LoRA", tiny=pairs.TINY, loss_apart=round(apart, 5), **told, **first, **limit,
    )  # fmt: skip


@torch.no_grad()
def move(model: Any) -> None:
    """Gives the adapter that is trained the same numbers on both sides; TRL's copy of it, its reference, stays."""
    luck = torch.Generator().manual_seed(0)
    for name, weight in sorted(model.named_parameters()):
        if ".lora_A.default." in name or ".lora_B.default." in name:
            weight.copy_(MOVED * torch.randn(weight.shape, generator=luck))


def ours(folder: Path, given: Input, rows: list[dict[str, Any]], tokenizer: Any) -> Any:
    recipe = {"lora": LoRA().model_dump(), "bf16": True, "batch_size": TOGETHER * K * (K - 1) // 2}
    context = pairs.open_run(folder, "dpo", recipe, given)
    return dpo.build(context, context.recipe, rows=rows, held_out=[], tokenizer=tokenizer)


def peer(folder: Path, given: Input, rows: list[dict[str, Any]], tokenizer: Any) -> Any:
    """As its documentation has it, on the same model, adapter and precision."""
    torch.manual_seed(0)
    model = models.add_lora(models.load_causal(given, dtype=torch.bfloat16), LoRA(), task="causal")
    arguments = DPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=True, per_device_train_batch_size=TOGETHER * K * (K - 1) // 2,
        activation_checkpointing=False, report_to="none", disable_tqdm=True, max_length=512,
    )  # fmt: skip
    data = Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows])
    return DPOTrainer(model=model, args=arguments, processing_class=tokenizer, train_dataset=data)


if __name__ == "__main__":
    main()
