"""REINFORCE leave-one-out (Ahmadian et al. 2024): each completion against the mean of its siblings; no critic.

The loop is `group_loop`'s, the equations are `group_math`'s. KL to the reference is taken from a completion's reward, as
in the paper; the whole completion is one action. Passes after a rollout's first are held by PPO's clip, as in TRL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from training.context import RunContext
from training.mechanics import group_loop, group_math
from training.mechanics.group_math import GroupLoss, Part
from training.mechanics.group_rollout import GroupRollout, shuffled
from training.recipes.rloo import RlooRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, RlooRecipe)
    return group_loop.run(context, recipe, lambda seed: Rloo(recipe, seed))


@dataclass(frozen=True, slots=True)
class Rloo:
    recipe: RlooRecipe
    seed: int

    def plan(self, scores_B: Tensor, number: int, epoch: int) -> list[list[int]]:
        return shuffled(self.recipe, seed=self.seed, number=number, epoch=epoch)

    def signals(self, rollout: GroupRollout) -> Tensor:
        paid_B = rollout.scores_B - self.recipe.kl_coefficient * rollout.kl_B
        return group_math.leave_one_out_advantages(paid_B, k=self.recipe.k, normalise=self.recipe.normalise)

    def loss(self, part: Part) -> GroupLoss:
        return group_math.leave_one_out_loss(part, clip=self.recipe.clip)
