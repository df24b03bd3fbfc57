"""The passes over a rollout of groups: minibatches, a method's loss, clipped gradients, and where a pass must end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from training.mechanics.group_math import GroupLoss, Part
from training.mechanics.group_rollout import GroupRollout
from training.mechanics.ppo_math import masked_mean
from training.mechanics.ppo_model import Policy
from training.mechanics.ppo_update import Passes, check_first_ratio, refuse_not_finite
from training.recipes.online import OnlineRecipe


class Objective(Protocol):
    """What makes one of these methods: what it reads from scores, what it learns from together, and by which loss."""

    def plan(self, scores_B: Tensor, number: int, epoch: int) -> list[list[int]]:
        """The minibatches of a pass, by the places of completions."""
        ...

    def signals(self, rollout: GroupRollout) -> Tensor:
        """What the scores say of each completion: [B]."""
        ...

    def loss(self, part: Part) -> GroupLoss: ...


def new_optimizer(actor: Policy, recipe: OnlineRecipe) -> torch.optim.Adam:
    """eps 1e-5: with torch's 1e-8 the first steps, whose second moments are tiny, are far larger (Huang et al. 2024)."""
    return torch.optim.Adam(list(actor.policy_weights().values()), lr=recipe.learning_rate, eps=1e-5)


def train_on(
    rollout: GroupRollout,
    passes: Passes,
    recipe: OnlineRecipe,
    *,
    objective: Objective,
    actor: Policy,
    optimizer: torch.optim.Adam,
    number: int,
    stop_requested: Callable[[], bool],
) -> None:
    """Goes on with the passes until they are over, or a stop is requested between two minibatches.

    They are over after `epochs`, or when a minibatch finds the policy more than `stop_kl` nats a token away from the
    one that sampled: its step is not taken. A minibatch in which nothing was scored is passed over. Raises `Failure`
    ("first_ratio", "not_finite").
    """
    plan = [rows for e in range(recipe.epochs) for rows in objective.plan(rollout.scores_B, number, e)]
    signals_B = objective.signals(rollout)
    tokens = counted_tokens(rollout, recipe)
    passes.is_over |= not plan
    while not passes.is_over and not stop_requested():
        rows = plan[passes.done]
        is_far = False
        if rollout.counts_B[rows].any():
            figures = train_step(
                rollout, rows, recipe, objective=objective, signals_B=signals_B, tokens=tokens, actor=actor,
                optimizer=optimizer, first=not passes.figures, number=number,
            )  # fmt: skip
            passes.figures.append(figures)
            is_far = figures["approx_kl"] > recipe.stop_kl
        passes.done += 1
        passes.is_over = passes.done == len(plan) or is_far


def counted_tokens(rollout: GroupRollout, recipe: OnlineRecipe) -> float:
    """Tokens of scored completions that a minibatch holds on average."""
    num = rollout.mask_BA[rollout.counts_B].sum().item()
    return num * recipe.minibatch_size / recipe.batch_size


def train_step(
    rollout: GroupRollout,
    rows: list[int],
    recipe: OnlineRecipe,
    *,
    objective: Objective,
    signals_B: Tensor,
    tokens: float,
    actor: Policy,
    optimizer: torch.optim.Adam,
    first: bool,
    number: int,
) -> dict[str, float]:
    texts = actor.texts([rollout.completions[row] for row in rows])
    width = texts.mask_BA.shape[1]
    _, new_BA, _ = actor.look(texts)
    part = Part(
        new_BA=new_BA,
        old_BA=rollout.old_BA[rows, :width].to(actor.device),
        reference_BA=rollout.reference_BA[rows, :width].to(actor.device),
        mask_BA=texts.mask_BA,
        signals_B=signals_B[rows].to(actor.device),
        counts_B=rollout.counts_B[rows].to(actor.device),
        tokens=tokens,
    )
    found = objective.loss(part)
    figures = {
        "policy_loss": found.loss.item(),
        "approx_kl": approx_kl(part),
        "clip_fraction": found.clip_fraction.item(),
        "ratio": found.ratios.mean().item(),
        "ratio_error": (found.ratios - 1.0).abs().max().item(),
        "grad_norm": 0.0,
    }
    refuse_not_finite(figures, number)
    if first:
        check_first_ratio(figures["ratio_error"])
    if figures["approx_kl"] > recipe.stop_kl:
        return figures
    optimizer.zero_grad(set_to_none=True)
    found.loss.backward()
    weights = list(actor.policy_weights().values())
    figures["grad_norm"] = torch.nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm).item()
    refuse_not_finite(figures, number)
    optimizer.step()
    return figures


@torch.no_grad()
def approx_kl(part: Part) -> float:
    """KL(pi_old || pi_new) a token, by (rho - 1) - log rho: never negative, 0 only where nothing has moved."""
    log_ratio_BA = torch.where(part.mask_BA, part.new_BA - part.old_BA, 0.0)
    return masked_mean(log_ratio_BA.exp() - 1.0 - log_ratio_BA, part.mask_BA).item()
