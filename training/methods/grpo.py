"""Group relative policy optimisation (Shao et al. 2024), with what DAPO, Dr. GRPO and GSPO change of it; no critic.

The loop is `groups.loop`'s, the equations are `groups.math`'s. KL to the reference is part of the loss, token by token.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from training.context import RunContext
from training.mechanics.groups import math as group_math
from training.mechanics.groups.loop import GroupLoop, GroupRollout
from training.mechanics.groups.math import GroupLoss, Part
from training.recipes.grpo import GrpoRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, GrpoRecipe)
    return Grpo(context, recipe).run()


class Grpo(GroupLoop):
    recipe: GrpoRecipe

    def signals(self, rollout: GroupRollout) -> Tensor:
        return group_math.group_advantages(rollout.scores_B, k=self.recipe.k, scale=self.recipe.scale)

    def group_loss(self, part: Part) -> GroupLoss:
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
