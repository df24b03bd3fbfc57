"""What a rollout and the passes over it came to: figures that become curves, and texts for people to read."""

from __future__ import annotations

import math
from typing import Any

from training.context import RunContext
from training.mechanics.online.passes import Passes
from training.mechanics.online.rollout import Rollout

SAMPLES = 3


def figures_of(rollout: Rollout, passes: Passes, *, minibatches: int) -> dict[str, float]:
    """KL, entropy, reward and length are of the policy that sampled, before the passes, of `minibatches` each.

    What has no value is left out: a reward where nobody scored anything, ratios where nothing was learned from.
    """
    scores = rollout.scores_B[rollout.counts_B]
    figures = {
        "kl": rollout.kl_B.mean().item(),
        "entropy": rollout.entropy,
        "length": rollout.mask_BA.sum(dim=1).float().mean().item(),
        "ended": rollout.ended_B.float().mean().item(),
        "passes": passes.done / max(1, minibatches),
    }
    unsure = {"raw_score": rollout.raw_B.mean().item(), "sampling_gap": rollout.sampling_gap}
    figures |= {name: value for name, value in unsure.items() if not math.isnan(value)}
    if len(scores):
        figures |= {"reward": scores.mean().item(), "reward_std": scores.std(correction=0).item()}
    if passes.figures:
        errors = [each["ratio_error"] for each in passes.figures]
        figures |= passes.means() | {"first_ratio_error": errors[0], "ratio_error": max(errors)}
    return figures


def show(context: RunContext, rollout: Rollout, *, number: int, tokenizer: Any) -> None:
    for i, text in enumerate(rollout.texts[:SAMPLES]):
        score = rollout.scores_B[i].item()
        context.sample(
            number, prompt=tokenizer.decode(rollout.completions[i].prompt), text=text,
            reward=None if math.isnan(score) else score, kl=rollout.kl_B[i].item(), ended=bool(rollout.ended_B[i]),
        )  # fmt: skip
