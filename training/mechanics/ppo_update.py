"""The passes over a rollout: minibatches, both clipped losses, both clipped gradients, and where a pass must end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from training.contract import Failure
from training.mechanics import ppo_math
from training.mechanics.ppo_model import Actor
from training.mechanics.ppo_rollout import Rollout, minibatches
from training.mechanics.ptx import Corpus
from training.mechanics.trainer import not_finite
from training.recipes.ppo import PpoRecipe

MOST_FIRST_RATIO_ERROR = 1e-3  # of the policy to itself, before any step; 0 where the arithmetic repeats itself


@dataclass(slots=True)
class Passes:
    """How far the passes over a rollout have come: `done` minibatches, and the figures of each of them."""

    done: int = 0
    figures: list[dict[str, float]] = field(default_factory=list)
    is_over: bool = False

    def as_plain(self) -> dict[str, Any]:
        return {"done": self.done, "figures": self.figures, "is_over": self.is_over}

    def means(self) -> dict[str, float]:
        """Over the minibatches that tell a figure: the one that ended the passes took no step."""
        told = {name: [f[name] for f in self.figures if name in f] for name in self.figures[0]}
        return {name: sum(values) / len(values) for name, values in told.items()}


def new_optimizer(actor: Actor, recipe: PpoRecipe) -> torch.optim.Adam:
    """eps 1e-5: with torch's 1e-8 the first steps, whose second moments are tiny, are far larger (Huang et al. 2024)."""
    return torch.optim.Adam(
        [
            {"params": list(actor.policy_weights().values()), "lr": recipe.learning_rate},
            {"params": list(actor.critic_weights().values()), "lr": recipe.critic_learning_rate},
        ],
        eps=1e-5,
    )


def set_rates(optimizer: torch.optim.Adam, recipe: PpoRecipe, *, number: int, total: int, warm: float) -> None:
    """Rising over the first rollout's passes (`warm`, up to 1), then falling in a straight line to 0 behind the last.

    Adam's first steps move every weight by its rate whatever the gradient says: taken at once, they cost nats of KL that
    buy nothing.
    """
    share = (warm if number == 0 else 1.0) * (1.0 - number / total)
    for group, rate in zip(optimizer.param_groups, (recipe.learning_rate, recipe.critic_learning_rate), strict=True):
        group["lr"] = rate * share


def train_on(
    rollout: Rollout,
    passes: Passes,
    recipe: PpoRecipe,
    *,
    actor: Actor,
    optimizer: torch.optim.Adam,
    number: int,
    total: int,
    seed: int,
    stop_requested: Callable[[], bool],
    corpus: Corpus | None = None,
) -> None:
    """Goes on with the passes until they are over, or a stop is requested between two minibatches.

    They are over after `epochs`, or when a minibatch finds the policy more than `stop_kl` nats a token away from the
    one that sampled: its step is not taken. Raises `Failure` ("first_ratio", "not_finite").
    """
    plan = [rows for e in range(recipe.epochs) for rows in minibatches(recipe, seed=seed, number=number, epoch=e)]
    while not passes.is_over and not stop_requested():
        set_rates(optimizer, recipe, number=number, total=total, warm=(passes.done + 1) / len(plan))
        figures = train_step(
            rollout, plan[passes.done], recipe, actor=actor, optimizer=optimizer, first=passes.done == 0, number=number,
            ptx_loss=partial(corpus.loss, actor, minibatch=number * len(plan) + passes.done) if corpus else None,
        )  # fmt: skip
        passes.done += 1
        passes.figures.append(figures)
        passes.is_over = passes.done == len(plan) or figures["approx_kl"] > recipe.stop_kl


def train_step(
    rollout: Rollout,
    rows: list[int],
    recipe: PpoRecipe,
    *,
    actor: Actor,
    optimizer: torch.optim.Adam,
    first: bool,
    number: int,
    ptx_loss: Callable[[], Tensor] | None,
) -> dict[str, float]:
    """Figures of one minibatch, whose step is taken unless the policy has moved too far. Raises `Failure`."""
    texts = actor.texts([rollout.completions[row] for row in rows])
    mask_BA = texts.mask_BA

    def part(all_BA: Tensor) -> Tensor:
        return all_BA[rows, : mask_BA.shape[1]].to(actor.device)

    reading = actor.read(texts)
    policy = ppo_math.policy_loss(
        reading.logprobs_BA, part(rollout.old_BA), part(rollout.advantages_BA), mask_BA, clip=recipe.clip
    )
    value = ppo_math.value_loss(
        part(rollout.prior_BA) + reading.values_BA,
        part(rollout.values_BA),
        part(rollout.targets_BA),
        mask_BA,
        clip=recipe.clip_value,
    )
    figures = {
        "policy_loss": policy.loss.item(),
        "value_loss": value.item(),
        "approx_kl": policy.approx_kl.item(),
        "clip_fraction": policy.clip_fraction.item(),
        "ratio": policy.mean_ratio.item(),
        "ratio_error": policy.max_ratio_error.item(),
    }
    refuse_not_finite(figures, number)
    if first:
        check_first_ratio(figures["ratio_error"])
    if figures["approx_kl"] > recipe.stop_kl:
        return figures
    optimizer.zero_grad(set_to_none=True)
    # The two share no weight: the sum sends each its own gradient, and each is clipped alone.
    (policy.loss + value).backward()
    if ptx_loss is not None:  # on its own, so that what the two keep for their way back never stands side by side
        loss = ptx_loss()
        figures["ptx_loss"] = loss.item()
        (recipe.ptx_weight * loss).backward()
    figures["grad_norm"] = clip(actor.policy_weights(), recipe)
    figures["critic_grad_norm"] = clip(actor.critic_weights(), recipe)
    refuse_not_finite(figures, number)
    optimizer.step()
    return figures


def clip(weights: dict[str, nn.Parameter], recipe: PpoRecipe) -> float:
    return torch.nn.utils.clip_grad_norm_(list(weights.values()), recipe.max_grad_norm).item()


def refuse_not_finite(figures: dict[str, float], number: int) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise not_finite(f"PPO's {name}", number + 1)


def check_first_ratio(error: float) -> None:
    if error > MOST_FIRST_RATIO_ERROR:
        raise Failure(
            "first_ratio",
            f"Before any step the policy's probabilities differ from those it sampled with by {error:.2%}: "
            "they are not of the same model, or not of the same tokens.",
            advice="A forward pass that draws lots, or depends on the rest of its batch, can't be trained on what it sampled.",
        )
