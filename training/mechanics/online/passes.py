"""The passes over a rollout: minibatch by minibatch, how far they have come, and where they must end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from training.contract import Failure
from training.mechanics.trainers.refusals import not_finite

MOST_FIRST_RATIO_ERROR = 1e-3  # of the policy to itself, before any step; 0 where the arithmetic repeats itself


@dataclass(frozen=True, slots=True)
class Loss:
    """Of a minibatch; `loss` carries the gradient. Among the figures are `approx_kl`, nats a token, and `ratio_error`."""

    loss: Tensor
    figures: dict[str, float]


@dataclass(slots=True)
class Passes:
    """How far the passes over a rollout have come: `done` minibatches, and the figures of each that taught something."""

    done: int = 0
    figures: list[dict[str, float]] = field(default_factory=list)
    is_over: bool = False

    def means(self) -> dict[str, float]:
        """Over the minibatches that tell a figure: the one that ended the passes took no step."""
        told = {name: [f[name] for f in self.figures if name in f] for name in self.figures[0]}
        return {name: sum(values) / len(values) for name, values in told.items()}


def train_on(
    passes: Passes,
    plan: list[list[int]],
    step: Callable[[list[int]], dict[str, float] | None],
    *,
    stop_kl: float,
    stop_requested: Callable[[], bool],
) -> None:
    """Goes on with the passes until they are over, or a stop is requested between two minibatches.

    They are over behind the plan's end, or when a minibatch finds the policy more than `stop_kl` nats a token away from
    the one that sampled: its step is not taken. `step` tells a minibatch's figures, none where it had nothing to teach.
    """
    passes.is_over |= not plan
    while not passes.is_over and not stop_requested():
        figures = step(plan[passes.done])
        passes.done += 1
        passes.is_over = passes.done == len(plan)
        if figures is not None:
            passes.figures.append(figures)
            passes.is_over |= figures["approx_kl"] > stop_kl


def refuse_not_finite(figures: dict[str, float], number: int) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise not_finite(f"The figure {name}", number + 1)


def check_first_ratio(error: float) -> None:
    if error > MOST_FIRST_RATIO_ERROR:
        raise Failure(
            "first_ratio",
            f"Before any step the policy's probabilities differ from those it sampled with by {error:.2%}: "
            "they are not of the same model, or not of the same tokens.",
            advice="A forward pass that draws lots, or depends on the rest of its batch, can't be trained on what it sampled.",
        )
