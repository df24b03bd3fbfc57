"""A rollout: completions that the policy sampled, what they scored, and what policy and reference said of them.

Every lot is a function of the run's seed and of the number of the episode, rollout or pass that it is drawn for. No
random state goes on from one to the next, so there is none to lose: a run that resumes draws what it would have drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.datasets import Message
from training.mechanics.generation import sampling
from training.mechanics.generation.sampler import Sampler
from training.mechanics.generation.sampling import Sample
from training.mechanics.online.judge import Judge, Said, Scores
from training.mechanics.online.policy import LoopRecipe, Policy
from training.mechanics.ppo import math as ppo_math
from training.mechanics.ppo.math import Scale
from training.mechanics.scoring import Completion


@dataclass(frozen=True, slots=True)
class Prompt:
    messages: list[Message]
    ids: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Tensors on the CPU; column a of `_BA` is a completion's token a. A prompt's completions stand together.

    `raw_B` is the reward model's, NaN without one; `scores_B` is what is learned from, NaN where nobody scored.
    """

    completions: list[Completion]
    texts: list[str]
    raw_B: Tensor
    scores_B: Tensor
    ended_B: Tensor
    kl_B: Tensor
    mask_BA: Tensor
    old_BA: Tensor
    entropy: float
    sampling_gap: float
    """NaN where what was sampled before an interruption was asked about: of that it is not known."""

    @property
    def counts_B(self) -> Tensor:
        return ~self.scores_B.isnan()

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        return cls(**{**plain, "completions": [Completion(**c) for c in plain["completions"]]})


@dataclass(frozen=True, slots=True)
class Collector:
    """What the rollouts of a run are made with, `samples` completions a prompt.

    It changes nothing, so that a request to stop, `Stopped`, may come at any moment of it.
    """

    context: RunContext
    recipe: LoopRecipe
    actor: Policy
    sampler: Sampler
    prompts: list[Prompt]
    seed: int
    samples: int

    def asked(self, number: int) -> list[Prompt]:
        """The prompt of each completion of rollout `number`."""
        size = self.recipe.batch_size
        return prompts_of(self.prompts, range(number * size, (number + 1) * size), seed=self.seed, samples=self.samples)

    def sample(self, asked: list[Prompt], number: int) -> list[Sample]:
        first = number * self.recipe.batch_size
        seeds = [sampling.seed_of(self.seed, "episode", first + i) for i in range(len(asked))]
        return self.sampler.sample([prompt.ids for prompt in asked], seeds=seeds)

    def score(self, judge: Judge, said: list[Said], number: int) -> Scores:
        """Raw ones. Raises `Failure("not_finite")`."""
        with self.actor.autocast():
            found = judge.score(self.context, said, batch_size=self.recipe.minibatch_size)
        if not (torch.isfinite(found.final_B).all() and torch.isfinite(found.along_BA).all()):
            raise Failure(
                "not_finite",
                f"The reward model gave a score that is not finite in rollout {number + 1}; the last checkpoint was kept.",
                advice="Train the reward model again: its weights are broken.",
            )
        return found

    def final_scores(self, raw_B: Tensor, ended_B: Tensor, *, scale: Scale) -> Tensor:
        return ppo_math.final_scores(
            scale.normalise(raw_B), ended_B,
            clip=self.recipe.reward_clip, missing_eos_penalty=self.recipe.missing_eos_penalty,
        )  # fmt: skip

    def minibatches(self, number: int, epoch: int) -> list[list[int]]:
        return minibatches(self.recipe, samples=self.samples, seed=self.seed, number=number, epoch=epoch)

    def read(self, completions: list[Completion], *, batches: list[list[int]]) -> list[Tensor]:
        """What `Policy.look` tells of all completions, each [B, A], read in the very minibatches of the first pass.

        Sums over another company round differently, and the first ratio would be 1 only nearly.
        """
        shape = len(completions), max(len(c.ids) for c in completions)
        found: list[Tensor] = []
        for rows in batches:
            if self.context.stop_requested:
                raise Stopped
            some = [completions[row] for row in rows]
            parts = self.actor.fit(partial(self.actor.look, self.actor.texts(some)), some)
            found = found or [torch.zeros(shape) for _ in parts]
            for whole_BA, part_BA in zip(found, parts, strict=True):
                whole_BA[rows, : part_BA.shape[1]] = part_BA.cpu()
        return found

    @torch.no_grad()
    def take_anew(self, rollout: Rollout, batches: list[list[int]]) -> None:
        """The old log-probabilities, before the first step of a rollout: what is trained in other parts than those they were
        taken in rounds otherwise, and no first ratio would be exactly 1."""
        for rows in batches:
            read_BA = self.actor.read(self.actor.texts([rollout.completions[row] for row in rows])).logprobs_BA
            rollout.old_BA[rows, : read_BA.shape[1]] = read_BA.cpu()


def read_prompts(context: RunContext, tokenizer: Any, *, room: int | None) -> list[Prompt]:
    """Of the training split; those of more than `room` tokens are left out, and that is said. Raises `Failure`."""
    rows = [datasets.messages_of(row) for row in datasets.read_rows(context.input("prompts"), split="train")]
    prompts = [Prompt(messages, datasets.render_prompt(tokenizer, messages)) for messages in rows]
    fit = [prompt for prompt in prompts if room is None or len(prompt.ids) <= room]
    if not fit:
        raise Failure("no_rows", "The dataset has no prompt that fits the model.", advice="Choose shorter prompts.")
    if len(fit) < len(prompts):
        context.warn(
            "left_out_long",
            f"{len(prompts) - len(fit)} of {len(prompts)} prompts leave no room for a completion and were left out.",
        )
    return fit


def prompts_of(prompts: list[Prompt], episodes: range, *, seed: int, samples: int = 1) -> list[Prompt]:
    """Episode by episode, `samples` of them a prompt; each pass through the prompts is in an order of its own."""
    size = len(prompts)
    orders = {p: permutation(size, seed, "prompts", p) for p in {e // samples // size for e in episodes}}
    return [prompts[orders[e // samples // size][e // samples % size]] for e in episodes]


def longest(prompts: list[Prompt], size: int, max_new_tokens: int) -> list[Completion]:
    """A minibatch such as none is longer: `size` completions of the longest prompts, none of which ends."""
    found = sorted(prompts, key=lambda prompt: len(prompt.ids), reverse=True)[:size]
    found += found[:1] * (size - len(found))
    return [Completion(prompt.ids, (prompt.ids * max_new_tokens)[:max_new_tokens]) for prompt in found]


def permutation(size: int, *parts: object) -> list[int]:
    order: list[int] = np.random.default_rng(sampling.seed_of(*parts)).permutation(size).tolist()
    return order


def minibatches(recipe: LoopRecipe, *, samples: int, seed: int, number: int, epoch: int) -> list[list[int]]:
    """Which completions of rollout `number` are a minibatch of its pass `epoch`: a fresh permutation each time.

    Those of one prompt stay together, so that it is read once for them.
    """
    prompts = permutation(recipe.batch_size // samples, seed, "passes", number, epoch)
    return in_parts([prompt * samples + i for prompt in prompts for i in range(samples)], recipe.minibatch_size)


def in_parts(rows: list[int], size: int) -> list[list[int]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def mask_of(completions: list[Completion]) -> Tensor:
    """The actions that were taken: [B, A]."""
    lengths_B1 = torch.tensor([[len(c.ids)] for c in completions])
    return torch.arange(int(lengths_B1.max())) < lengths_B1
