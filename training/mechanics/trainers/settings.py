"""What every trainer of ours is told, whatever it trains."""

from __future__ import annotations

import math
from typing import Any

import torch

from training.context import RunContext
from training.mechanics import checkpoints
from training.recipes.dpo import DpoRecipe
from training.recipes.finetune import FinetuneRecipe
from training.recipes.kto import KtoRecipe
from training.recipes.reward import RewardRecipe
from training.recipes.sft import SftRecipe

MOST_POINTS = 2000  # of a curve: a longer run logs every so many steps


def settings(
    context: RunContext,
    recipe: SftRecipe | RewardRecipe | DpoRecipe | KtoRecipe | FinetuneRecipe,
    *,
    rows: int,
    evaluated: bool,
    batch_size: int | None = None,
) -> dict[str, Any]:
    """Keywords of a `TrainingArguments`: `rows` train; `batch_size` where a step's is not the recipe's."""
    batch_size = batch_size or recipe.batch_size
    cuda = torch.cuda.is_available()
    steps = math.ceil(rows / batch_size * recipe.epochs)
    return {
        "output_dir": str(context.checkpoints),
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": recipe.batch_size,
        "num_train_epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,  # a share
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": context.spec.seed + recipe.seed,
        "use_cpu": not cuda,
        "bf16": recipe.bf16,
        "activation_checkpointing": cuda,  # memory for time: on a CPU there is memory
        "eval_strategy": "steps" if evaluated else "no",
        "eval_on_start": evaluated and checkpoints.newest(context.checkpoints) is None,
        "eval_steps": recipe.eval_every,
        "save_strategy": "steps",
        "save_steps": recipe.eval_every,
        "logging_strategy": "steps",
        "logging_steps": max(1, math.ceil(steps / MOST_POINTS)),
        "logging_nan_inf_filter": False,
        "dataloader_num_workers": 0,
        "ddp_find_unused_parameters": False,  # there are none
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
