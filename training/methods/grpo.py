"""Group relative policy optimisation (Shao et al. 2024), with what DAPO, Dr. GRPO and GSPO change of it; no critic.

The loop is `group_loop`'s, the equations are `group_math`'s. KL to the reference is part of the loss, token by token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from training.context import RunContext
from training.mechanics import group_loop, group_math
from training.mechanics.group_math import GroupLoss, Part
from training.mechanics.group_rollout import GroupRollout, shuffled
from training.recipes.grpo import GrpoRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, GrpoRecipe)
    return group_loop.run(context, recipe, lambda seed: Grpo(recipe, seed))


@dataclass(frozen=True, slots=True)
class Grpo:
    recipe: GrpoRecipe
    seed: int

    def plan(self, scores_B: Tensor, number: int, epoch: int) -> list[list[int]]:
        return shuffled(self.recipe, seed=self.seed, number=number, epoch=epoch)

    def signals(self, rollout: GroupRollout) -> Tensor:
        return group_math.group_advantages(rollout.scores_B, k=self.recipe.k, scale=self.recipe.scale)

    def loss(self, part: Part) -> GroupLoss:
        recipe = self.recipe
        return group_math.group_loss(
            part,
            ratio=recipe.ratio,
            clip_low=recipe.clip_low,
            clip_high=recipe.clip_high,
            kl_price=recipe.kl_coefficient,
            weighing=recipe.loss,
            max_tokens=recipe.max_new_tokens,
        )
