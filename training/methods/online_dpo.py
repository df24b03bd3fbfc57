"""Online DPO (Guo et al. 2024): the best against the worst of what the policy itself has just written.

The loop is `groups.loop`'s, the equations are `groups.math`'s. Of K completions the two that the scores tell apart most are
a pair; a prompt whose completions all scored alike teaches nothing. DPO's own loss holds the policy to its reference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.context import RunContext
from training.mechanics.groups import math as group_math
from training.mechanics.groups.loop import GroupLoop, GroupRollout
from training.mechanics.groups.math import GroupLoss, Part
from training.mechanics.online.rollout import in_parts, permutation
from training.recipes.online_dpo import OnlineDpoRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, OnlineDpoRecipe)
    return OnlineDpo(context, recipe).run()


class OnlineDpo(GroupLoop):
    recipe: OnlineDpoRecipe

    def plan(self, scores_B: Tensor, *, epoch: int) -> list[list[int]]:
        """The best and the worst of each prompt, one behind the other, a fresh permutation of prompts each pass."""
        pairs = group_math.best_and_worst(scores_B, k=self.recipe.k)
        order = permutation(len(pairs), self.seed, "passes", self.state.number, epoch)
        return in_parts([row for place in order for row in pairs[place]], self.recipe.minibatch_size)

    def signals(self, rollout: GroupRollout) -> Tensor:
        """1 for a chosen completion, -1 for a rejected one, 0 for what stands between."""
        signals_B = torch.zeros(len(rollout.scores_B))
        for chosen, rejected in group_math.best_and_worst(rollout.scores_B, k=self.recipe.k):
            signals_B[chosen], signals_B[rejected] = 1.0, -1.0
        return signals_B

    def group_loss(self, part: Part) -> GroupLoss:
        return group_math.pair_loss(part, beta=self.recipe.beta, kind=self.recipe.loss)
