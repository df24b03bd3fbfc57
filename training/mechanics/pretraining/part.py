"""The loss of a part of a step's rows, as one module: what several processes spread is called as a whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from training.mechanics.pretraining.losses import causal_loss, masked_loss
from training.recipes.pretrain import PretrainRecipe


class PartLoss(nn.Module):
    """`count`: tokens that are learned in the whole step. Gives the loss to go back from, and the part's nats."""

    def __init__(self, model: Any, trunk: Any, recipe: PretrainRecipe) -> None:
        super().__init__()
        self.model = model
        self.trunk = [trunk]  # in a list: it is a part of the model, and compiled it is not to be found twice
        self.recipe = recipe

    def forward(self, part: dict[str, Tensor], count: int) -> tuple[Tensor, Tensor]:
        recipe, [trunk] = self.recipe, self.trunk
        dtype = torch.bfloat16 if recipe.bf16 else torch.float32
        if "targets" not in part:
            return causal_loss(self.model, trunk, part, z=recipe.z_loss, count=count, dtype=dtype)
        return masked_loss(self.model, trunk, part, z=recipe.z_loss, count=count, dtype=dtype, rows=recipe.batch_size)
