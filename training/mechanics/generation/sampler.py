"""What samples a policy's rollouts: one protocol, which our own engine and a vLLM server (`generation.vllm`) meet.

Whoever collects a rollout does not ask which. Neither is believed about log-probabilities: those that are learned from are
taken anew by the pass that is trained, and how far the sampler's own were from them is told (`sampling_gap`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from training.contract import Failure
from training.mechanics.generation import sampling
from training.mechanics.generation.sampling import Sample
from training.mechanics.memory import Room

OTHER_MODEL = 0.5  # nats a token; bfloat16 in two engines differs by 0.01 to 0.1


class Sampled(Protocol):
    """What of a policy a sampler reads: the model, an adapter's wrapper included, and what it runs under."""

    @property
    def policy(self) -> Any: ...

    @property
    def room(self) -> Room: ...

    def autocast(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """How completions are sampled: always from the whole distribution, for ratios would lack what is cut off."""

    temperature: float
    max_new_tokens: int
    batch_size: int


class Sampler(Protocol):
    def sample(self, prompts: list[list[int]], *, seeds: list[int]) -> list[Sample]:
        """One completion to each of `prompts` (token ids), in their order, by the policy as it stands at this moment.

        Completion i follows from prompt, weights and seed i. Raises `Stopped` on request, and `Failure`.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class OwnSampler:
    """Our own engine, on the very weights that are trained: there is nothing to keep in step."""

    policy: Sampled
    tokenizer: Any
    wanted: Wanted
    stop_requested: Callable[[], bool]

    def sample(self, prompts: list[list[int]], *, seeds: list[int]) -> list[Sample]:
        with self.policy.autocast():
            return sampling.sample(
                self.policy.policy,
                self.tokenizer,
                prompts,
                seeds=seeds,
                temperatures=[self.wanted.temperature] * len(prompts),
                top_p=1.0,
                max_new_tokens=self.wanted.max_new_tokens,
                batch_size=self.wanted.batch_size,
                stop_requested=self.stop_requested,
                room=self.policy.room,
            )

    def close(self) -> None:
        """It holds nothing of its own."""


def sampling_gap(samples: list[Sample], old_BA: Tensor) -> float:
    """Mean distance, in nats a token, of the sampler's log-probabilities from `old_BA`; NaN where it told none.

    Raises `Failure("other_sampler")` where it is so large that another model must have sampled: a policy that learns from
    another's completions as if they were its own goes astray, and no curve would say why.
    """
    told = [(row, sample.logprobs) for row, sample in enumerate(samples) if sample.logprobs]
    if not told:
        return math.nan
    apart = torch.cat([(old_BA[row, : len(said)] - torch.tensor(said)).abs() for row, said in told])
    gap = apart.mean().item()
    if gap > OTHER_MODEL:
        raise Failure(
            "other_sampler",
            f"What sampled the completions is not the policy: their log-probabilities are {gap:.2f} nats a token apart.",
            advice="Sample without vLLM: this version of it does not take the weights of this kind of model over as it should.",
        )
    return gap
