"""REINFORCE leave-one-out (Ahmadian et al. 2024): each completion against the mean of its siblings; no critic.

The loop is `groups.loop`'s, the equations are `groups.math`'s. KL to the reference is taken from a completion's reward, as
in the paper; the whole completion is one action. Passes after a rollout's first are held by PPO's clip, as in TRL.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from training.context import RunContext
from training.mechanics.groups import math as group_math
from training.mechanics.groups.loop import GroupLoop, GroupRollout
from training.mechanics.groups.math import GroupLoss, Part
from training.recipes.rloo import RlooRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, RlooRecipe)
    return Rloo(context, recipe).run()


class Rloo(GroupLoop):
    recipe: RlooRecipe

    def signals(self, rollout: GroupRollout) -> Tensor:
        paid_B = rollout.scores_B - self.recipe.kl_coefficient * rollout.kl_B
        return group_math.leave_one_out_advantages(paid_B, k=self.recipe.k, normalise=self.recipe.normalise)

    def group_loss(self, part: Part) -> GroupLoss:
        return group_math.leave_one_out_loss(part, clip=self.recipe.clip)
