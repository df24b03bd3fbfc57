"""The loop of the methods that learn from groups: K completions of each of P prompts, compared with each other.

RLOO, GRPO and online DPO differ in what they make of scores, in their loss, and in which completions they learn from
together. With PPO they share `online.loop`; what is theirs alone:

- People may be asked for orders of a prompt's completions, which are put on the scale of scores (`votes`).
- What nobody scored is masked: no part of a baseline, no advantage, no weight in the loss.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from training import questions
from training.context import RunContext
from training.contract import Failure
from training.mechanics.generation import sampling
from training.mechanics.generation.sampler import sampling_gap
from training.mechanics.generation.sampling import Sample
from training.mechanics.groups import first, votes
from training.mechanics.groups import math as group_math
from training.mechanics.groups.math import GroupLoss, Part
from training.mechanics.online.judge import Said
from training.mechanics.online.loop import Loop, LossOf
from training.mechanics.online.passes import Loss
from training.mechanics.online.rollout import Prompt, Rollout, in_parts, mask_of
from training.mechanics.ppo import math as ppo_math
from training.mechanics.ppo.math import Scale
from training.mechanics.scoring import Completion
from training.recipes.online import NO_REWARD, OnlineRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRollout(Rollout):
    """B = P K completions; of those where `voted_B`, people decided."""

    voted_B: Tensor
    reference_BA: Tensor


class GroupLoop(Loop[GroupRollout]):
    """What a method adds: `signals`, `group_loss` and, where it does not learn from all completions, `plan`."""

    rollout_type = GroupRollout
    before = ("reward", "raw_score")
    last = ("reward", "raw_score", "kl", "ended", "length", "entropy", "zero_std_groups", "masked", "voted")

    recipe: OnlineRecipe

    def __init__(self, context: RunContext, recipe: OnlineRecipe) -> None:
        super().__init__(context, recipe, samples=recipe.k)

    def refuse(self) -> None:
        super().refuse()
        if self.recipe.votes is None and not self.context.has_input("reward"):
            raise Failure("no_reward", NO_REWARD)

    @abstractmethod
    def signals(self, rollout: GroupRollout) -> Tensor:
        """What the scores say of each completion: [B]."""

    @abstractmethod
    def group_loss(self, part: Part) -> GroupLoss: ...

    def collect(self) -> tuple[GroupRollout, Scale | None]:
        """Raises `Failure` ("not_finite", "other_questions", "bad_answers") too."""
        number, scale = self.state.number, self.state.scale
        asked = self.collector.asked(number)
        answers = self.answers(asked, number)
        texts = [answer.text for answer in answers]
        ended_B = torch.tensor([answer.ended for answer in answers])
        raw_B = scores_B = torch.full((len(texts),), math.nan)
        if self.judge is not None:
            said = [Said(prompt.messages, text, [0]) for prompt, text in zip(asked, texts, strict=True)]
            raw_B = self.collector.score(self.judge, said, number).final_B
            scale = scale or Scale.of(raw_B, otherwise=self.judge.scale)
            scores_B = self.collector.final_scores(raw_B, ended_B, scale=scale)
        scores_B, voted_B = self.heed_people(scores_B, number)
        completions = [Completion(prompt.ids, answer.ids) for prompt, answer in zip(asked, answers, strict=True)]
        batches = self.batches(scores_B)
        old_BA, entropies_BA, reference_BA = self.collector.read(completions, batches=batches)
        mask_BA = mask_of(completions)
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
            sampling_gap=sampling_gap(answers, old_BA),
        )
        if self.recipe.votes and self.recipe.votes.against_first:
            first.refuse_worse(self.context.dir, rollouts=number + 1)
        return rollout, scale

    def answers(self, asked: list[Prompt], number: int) -> list[Sample]:
        """Asked about, where people are, or as they were asked about."""
        if self.recipe.votes is None:
            return self.collector.sample(asked, number)
        talks = [prompt.messages for prompt in asked[:: self.recipe.k]]
        known = votes.asked_before(self.context, number=number, prompts=talks)
        if known is not None:
            return [Sample(text.ids, text.text, [], text.ended) for group in known for text in group]
        answers = self.collector.sample(asked, number)
        votes.ask(
            self.context, number=number, prompts=talks, answers=answers, minutes=self.recipe.votes.deadline_minutes,
            firsts=self.firsts(asked[:: self.recipe.k], number) if self.recipe.votes.against_first else (),
        )  # fmt: skip
        return answers

    def firsts(self, asked: list[Prompt], number: int) -> list[Sample]:
        """One text to each prompt, of the model that the run began from."""
        seeds = [sampling.seed_of(self.seed, "first", number, p) for p in range(len(asked))]
        ids = [prompt.ids for prompt in asked]
        return first.sample(
            self.context, self.recipe, actor=self.actor, tokenizer=self.tokenizer, prompts=ids, seeds=seeds
        )

    def heed_people(self, scores_B: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """A prompt that people ranked is scored by them alone: two judges within one group would be two scales."""
        sheet = questions.read_sheet(self.context.dir, number) if self.recipe.votes else None
        if sheet is None:
            return scores_B, torch.zeros(len(scores_B), dtype=torch.bool)
        people_B, voted_B = votes.scores_of(sheet, votes.wait(self.context, sheet))
        return torch.where(voted_B, people_B, scores_B), voted_B

    def batches(self, scores_B: Tensor) -> list[list[int]]:
        """The minibatches of the first pass, and behind them what no minibatch holds."""
        planned = self.plan(scores_B, epoch=0)
        seen = {row for rows in planned for row in rows}
        rest = [row for row in range(len(scores_B)) if row not in seen]
        return planned + in_parts(rest, self.recipe.minibatch_size)

    def losses(self, rollout: GroupRollout) -> LossOf:
        counted = rollout.mask_BA[rollout.counts_B].sum().item()
        tokens = counted * self.recipe.minibatch_size / self.recipe.batch_size  # of a minibatch, on average
        return partial(self.loss, rollout, signals_B=self.signals(rollout), tokens=tokens)

    def loss(self, rollout: GroupRollout, rows: list[int], *, signals_B: Tensor, tokens: float) -> Loss | None:
        """A minibatch in which nothing was scored is passed over."""
        if not rollout.counts_B[rows].any():
            return None
        texts = self.actor.texts([rollout.completions[row] for row in rows])
        width, device = texts.mask_BA.shape[1], self.actor.device
        part = Part(
            new_BA=self.actor.read(texts).logprobs_BA,
            old_BA=rollout.old_BA[rows, :width].to(device),
            reference_BA=rollout.reference_BA[rows, :width].to(device),
            mask_BA=texts.mask_BA,
            signals_B=signals_B[rows].to(device),
            counts_B=rollout.counts_B[rows].to(device),
            tokens=tokens,
        )
        found = self.group_loss(part)
        figures = {
            "policy_loss": found.loss.item(),
            "approx_kl": approx_kl(part),
            "clip_fraction": found.clip_fraction.item(),
            "ratio": found.ratios.mean().item(),
            "ratio_error": (found.ratios - 1.0).abs().max().item(),
            "grad_norm": 0.0,  # of a step that was not taken
        }
        return Loss(found.loss, figures)

    def figures(self, rollout: GroupRollout) -> dict[str, float]:
        indifferent_P = group_math.indifferent_groups(rollout.scores_B, k=self.recipe.k)
        figures = super().figures(rollout) | {
            "zero_std_groups": indifferent_P.float().mean().item(),
            "masked": 1.0 - rollout.counts_B.float().mean().item(),
        }
        if self.recipe.votes is not None:
            figures["voted"] = rollout.voted_B.float().mean().item()
            if won := first.wins(self.context.dir, [self.state.number])[0]:
                figures["wins_over_first"] = sum(won) / len(won)
        return figures


@torch.no_grad()
def approx_kl(part: Part) -> float:
    """KL(pi_old || pi_new) a token, by (rho - 1) - log rho: never negative, 0 only where nothing has moved."""
    log_ratio_BA = torch.where(part.mask_BA, part.new_BA - part.old_BA, 0.0)
    return ppo_math.masked_mean(log_ratio_BA.exp() - 1.0 - log_ratio_BA, part.mask_BA).item()
