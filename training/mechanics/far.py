"""When a policy is so far from its reference that the reward model is being fooled rather than pleased."""

from __future__ import annotations

from training.context import RunContext

FAR = 2.0  # times the target
FAR_ROLLOUTS = 3  # in a row, for the KL of one small rollout is a noisy estimate


def is_far(history: list[dict[str, float]], *, target: float | None) -> bool:
    """The last rollouts were all far beyond the target: going on would please the reward model and nobody else."""
    return target is not None and len(history) >= FAR_ROLLOUTS and nearest(history) > FAR * target


def nearest(history: list[dict[str, float]]) -> float:
    """Nats a completion, of the nearest of the last rollouts."""
    return min(figures["kl"] for figures in history[-FAR_ROLLOUTS:])


def tell_far(context: RunContext, history: list[dict[str, float]], *, target: float, price: str) -> None:
    """`price` is the recipe's field that holds a policy to its reference."""
    context.warn(
        "far_from_reference",
        f"The policy was {nearest(history):.1f} nats a completion or more from the reference in {FAR_ROLLOUTS} rollouts "
        f"in a row, over {FAR:g} times the target of {target:g}: training ended early. "
        f"Lower the learning rate, or raise {price}.",
    )
