"""Who moves which weight, and how far: AdamW and Muon, rates by schedule and by width.

AdamW (Loshchilov and Hutter 2019; betas .9 and .95) decays matrices and never norms, biases or embeddings. Muon (Jordan et
al. 2024) takes the blocks' matrices: its step is their gradient's momentum with all singular values made about 1.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from training.recipes.pretrain import PretrainRecipe

Optimizers = tuple[torch.optim.Optimizer, ...]


def build_optimizers(model: nn.Module, recipe: PretrainRecipe) -> Optimizers:
    """Each group says by `peak` what its rate is a share of."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    output: Any = model.get_output_embeddings()  # type: ignore[operator]
    weights = list(model.parameters())
    head = [weight for weight in weights if weight is output.weight and id(weight) not in embeddings]
    plain = [weight for weight in weights if weight.ndim < 2 or id(weight) in embeddings]
    taken = {id(weight) for weight in (*head, *plain)}
    matrices = [weight for weight in weights if id(weight) not in taken]
    scale = recipe.tuned_width / recipe.shape.hidden_size if recipe.tuned_width else 1.0
    rate = recipe.learning_rate
    with_muon = recipe.optimizer == "muon"
    groups = [
        {"params": [] if with_muon else matrices, "weight_decay": recipe.weight_decay, "peak": rate * scale},
        {"params": head, "weight_decay": recipe.weight_decay, "peak": rate * scale},
        {"params": plain, "weight_decay": 0.0, "peak": rate},
    ]
    adamw = torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.95), fused=True)
    if not with_muon:
        return (adamw,)
    # What a step of Muon does to a layer's output does not depend on its width: the rate needs no scale.
    peak = recipe.muon_learning_rate
    group = {"params": matrices, "peak": peak}
    muon = torch.optim.Muon([group], lr=peak, weight_decay=recipe.weight_decay, momentum=0.95)
    return (adamw, muon)


def share_at(step: int, recipe: PretrainRecipe) -> float:
    """Of the peak, for the step after `step` steps."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    if recipe.schedule == "wsd":
        # Hu et al. 2024 (MiniCPM, arXiv 2404.06395): warm up, stay, decay.
        return min(1.0, (recipe.steps - step) / max(1.0, recipe.decay_share * recipe.steps))
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return 0.1 + 0.9 * (1 + math.cos(math.pi * min(1.0, done))) / 2


def set_rates(optimizers: Optimizers, share: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
