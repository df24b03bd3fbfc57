"""Online DPO (Guo et al. 2024): the best against the worst of what the policy itself has just written.

The loop is `group_loop`'s, the equations are `group_math`'s. Of K completions the two that the scores tell apart most are
a pair; a prompt whose completions all scored alike teaches nothing. DPO's own loss holds the policy to its reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.context import RunContext
from training.mechanics import group_loop, group_math
from training.mechanics.group_math import GroupLoss, Part
from training.mechanics.group_rollout import GroupRollout, shuffled_pairs
from training.recipes.online_dpo import OnlineDpoRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, OnlineDpoRecipe)
    return group_loop.run(context, recipe, lambda seed: OnlineDpo(recipe, seed))


@dataclass(frozen=True, slots=True)
class OnlineDpo:
    recipe: OnlineDpoRecipe
    seed: int

    def plan(self, scores_B: Tensor, number: int, epoch: int) -> list[list[int]]:
        return shuffled_pairs(self.recipe, scores_B, seed=self.seed, number=number, epoch=epoch)

    def signals(self, rollout: GroupRollout) -> Tensor:
        """1 for a chosen completion, -1 for a rejected one, 0 for what stands between."""
        signals_B = torch.zeros(len(rollout.scores_B))
        for chosen, rejected in group_math.best_and_worst(rollout.scores_B, k=self.recipe.k):
            signals_B[chosen], signals_B[rejected] = 1.0, -1.0
        return signals_B

    def loss(self, part: Part) -> GroupLoss:
        return group_math.pair_loss(part, beta=self.recipe.beta, kind=self.recipe.loss)
