"""A rollout of groups: K completions of each of P prompts, what they scored, and what policy and reference said of them.

As PPO's (`ppo_rollout`), every lot is a function of the run's seed and of what it is drawn for, so a run that resumes
draws what it would have drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from training import questions
from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import group_math, ppo_math, sampling, votes
from training.mechanics.judge import Judge, Said
from training.mechanics.ppo_math import Scale
from training.mechanics.ppo_model import Policy
from training.mechanics.ppo_rollout import Prompt, permutation, prompts_of, refuse_not_finite
from training.mechanics.sampling import Sample
from training.mechanics.scoring import Completion
from training.recipes.online import OnlineRecipe

Plan = Callable[[Tensor, int, int], list[list[int]]]
"""(scores_B, rollout, pass) -> which completions are learned from together, minibatch by minibatch."""


@dataclass(frozen=True, slots=True)
class GroupRollout:
    """Tensors on the CPU; B = P K, a prompt's completions together. `scores_B` is NaN where nobody scored."""

    completions: list[Completion]
    texts: list[str]
    raw_B: Tensor  # the reward model's; NaN without one
    scores_B: Tensor
    voted_B: Tensor  # people decided
    ended_B: Tensor
    kl_B: Tensor
    mask_BA: Tensor
    old_BA: Tensor
    reference_BA: Tensor
    entropy: float

    @property
    def counts_B(self) -> Tensor:
        return ~self.scores_B.isnan()

    def as_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> GroupRollout:
        return cls(**{**plain, "completions": [Completion(**c) for c in plain["completions"]]})


@dataclass(frozen=True, slots=True)
class Collector:
    """Makes the rollouts of a run; changes nothing, so that a request to stop may come at any moment."""

    context: RunContext
    recipe: OnlineRecipe
    actor: Policy
    judge: Judge | None
    tokenizer: Any
    prompts: list[Prompt]
    seed: int
    plan: Plan

    def collect(self, number: int, *, scale: Scale | None) -> tuple[GroupRollout, Scale | None]:
        """Rollout `number`, and the scale of the reward model's scores: that of the first rollout, the reference's own.

        Raises `Stopped`, and `Failure` ("not_finite", "other_questions", "bad_answers").
        """
        k = self.recipe.k
        each = self.recipe.batch_size // k
        asked = prompts_of(self.prompts, range(number * each, (number + 1) * each), seed=self.seed)
        answers = self.sample(asked, number)
        texts = [answer.text for answer in answers]
        ended_B = torch.tensor([answer.ended for answer in answers])
        raw_B = self.raw_scores([prompt for prompt in asked for _ in range(k)], texts, number)
        if self.judge is not None:
            scale = scale or Scale.of(raw_B, otherwise=self.judge.scale)
        scores_B = self.model_scores(raw_B, ended_B, scale=scale)
        scores_B, voted_B = self.heed_people(scores_B, number)
        completions = [Completion(asked[i // k].ids, answer.ids) for i, answer in enumerate(answers)]
        old_BA, reference_BA, entropies_BA = self.read(completions, batches=self.batches(scores_B, number))
        mask_BA = torch.arange(old_BA.shape[1]) < torch.tensor([[len(c.ids)] for c in completions])
        rollout = GroupRollout(
            completions=completions,
            texts=texts,
            raw_B=raw_B,
            scores_B=scores_B,
            voted_B=voted_B,
            ended_B=ended_B,
            kl_B=ppo_math.completion_kl(old_BA, reference_BA, mask_BA),
            mask_BA=mask_BA,
            old_BA=old_BA,
            reference_BA=reference_BA,
            entropy=ppo_math.masked_mean(entropies_BA, mask_BA).item(),
        )
        return rollout, scale

    def sample(self, asked: list[Prompt], number: int) -> list[Sample]:
        """K of each prompt, from the whole distribution; asked about, where people are, or as they were asked about."""
        recipe, talks = self.recipe, [prompt.messages for prompt in asked]
        known = votes.asked_before(self.context, number=number, prompts=talks) if recipe.votes else None
        if known is not None:
            return [Sample(text.ids, text.text, [], text.ended) for group in known for text in group]
        first = number * recipe.batch_size
        with self.actor.autocast():
            answers = sampling.sample(
                self.actor.policy,
                self.tokenizer,
                [prompt.ids for prompt in asked for _ in range(recipe.k)],
                seeds=[sampling.seed_of(self.seed, "episode", first + i) for i in range(recipe.batch_size)],
                temperatures=[recipe.temperature] * recipe.batch_size,
                top_p=1.0,
                max_new_tokens=recipe.max_new_tokens,
                batch_size=recipe.batch_size,
                stop_requested=lambda: self.context.stop_requested,
            )
        if recipe.votes:
            votes.ask(
                self.context, number=number, prompts=talks, answers=answers, minutes=recipe.votes.deadline_minutes
            )
        return answers

    def raw_scores(self, asked: list[Prompt], texts: list[str], number: int) -> Tensor:
        if self.judge is None:
            return torch.full((len(texts),), math.nan)
        said = [Said(prompt.messages, text, [0]) for prompt, text in zip(asked, texts, strict=True)]
        with self.actor.autocast():
            found = self.judge.score(self.context, said, batch_size=self.recipe.minibatch_size)
        refuse_not_finite(found, number)
        return found.final_B

    def model_scores(self, raw_B: Tensor, ended_B: Tensor, *, scale: Scale | None) -> Tensor:
        if scale is None:
            return raw_B
        return ppo_math.final_scores(
            scale.normalise(raw_B), ended_B,
            clip=self.recipe.reward_clip, missing_eos_penalty=self.recipe.missing_eos_penalty,
        )  # fmt: skip

    def heed_people(self, scores_B: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """A prompt that people ranked is scored by them alone: two judges within one group would be two scales."""
        sheet = questions.read_sheet(self.context.dir, number) if self.recipe.votes else None
        if sheet is None:
            return scores_B, torch.zeros(len(scores_B), dtype=torch.bool)
        people_B, voted_B = votes.scores_of(sheet, votes.wait(self.context, sheet))
        return torch.where(voted_B, people_B, scores_B), voted_B

    def batches(self, scores_B: Tensor, number: int) -> list[list[int]]:
        """The minibatches of the first pass, and behind them what no minibatch holds."""
        planned = self.plan(scores_B, number, 0)
        seen = {row for rows in planned for row in rows}
        rest = [row for row in range(len(scores_B)) if row not in seen]
        size = self.recipe.minibatch_size
        return planned + [rest[i : i + size] for i in range(0, len(rest), size)]

    @torch.no_grad()
    def read(self, completions: list[Completion], *, batches: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of policy and reference, and entropies, all [B, A], in the company in which they are trained.

        Sums over another company round differently, and the first ratio would be 1 only nearly.
        """
        shape = len(completions), max(len(c.ids) for c in completions)
        old_BA, reference_BA, entropies_BA = (torch.zeros(shape) for _ in range(3))
        for rows in batches:
            if self.context.stop_requested:
                raise Stopped
            texts = self.actor.texts([completions[row] for row in rows])
            width = texts.mask_BA.shape[1]
            _, logprobs_BA, said_BA = self.actor.look(texts, entropies=True)
            assert said_BA is not None
            old_BA[rows, :width] = logprobs_BA.cpu()
            entropies_BA[rows, :width] = said_BA.cpu()
            reference_BA[rows, :width] = self.actor.reference_logprobs(texts).cpu()
        return old_BA, reference_BA, entropies_BA


def shuffled(recipe: OnlineRecipe, *, seed: int, number: int, epoch: int) -> list[list[int]]:
    """All completions in minibatches, a fresh permutation each pass; a prompt's stay together, so that it is read once."""
    prompts = permutation(recipe.batch_size // recipe.k, seed, "passes", number, epoch)
    return in_parts([prompt * recipe.k + i for prompt in prompts for i in range(recipe.k)], recipe.minibatch_size)


def shuffled_pairs(recipe: OnlineRecipe, scores_B: Tensor, *, seed: int, number: int, epoch: int) -> list[list[int]]:
    """The best and the worst of each prompt, one behind the other, a fresh permutation of prompts each pass."""
    pairs = group_math.best_and_worst(scores_B, k=recipe.k)
    order = permutation(len(pairs), seed, "passes", number, epoch)
    return in_parts([row for place in order for row in pairs[place]], recipe.minibatch_size)


def in_parts(rows: list[int], size: int) -> list[list[int]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def refuse_no_judge(recipe: OnlineRecipe, *, has_judge: bool) -> None:
    if not has_judge and recipe.votes is None:
        raise Failure(
            "no_reward",
            "Nobody would score the completions: the run has neither a reward model nor votes.",
            advice="Choose a reward model, or let people vote.",
        )
