"""Proximal policy optimisation on a reward model (Schulman et al. 2017; Ziegler et al. 2019), in torch, read downwards.

TRL 1.16 has no PPO trainer, so this is ours; `ppo.math` holds the equations, each with its paper. The loop is
`online.loop`'s, which says what PPO shares with RLOO, GRPO and online DPO. What is PPO's own:

- KL to the reference is paid token by token, at a price that an adaptive controller steers.
- The critic is a head on the policy's own detached hidden states (`ppo.model` says why), beside what the reward model
  foresaw (ADR 7). Rates rise over the first rollout's passes.
- Where a corpus is given, its likelihood is an aim beside the reward (`ptx`): what pleases people should stay a language.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.context import RunContext
from training.mechanics.generation.sampler import sampling_gap
from training.mechanics.online.judge import Said, reaches_of
from training.mechanics.online.loop import Loop, LossOf
from training.mechanics.online.passes import Loss
from training.mechanics.online.rollout import Rollout, mask_of
from training.mechanics.online.state import State
from training.mechanics.ppo import math as ppo_math
from training.mechanics.ppo.math import Scale
from training.mechanics.ppo.model import Actor
from training.mechanics.ppo.ptx import Corpus
from training.mechanics.scoring import Completion
from training.recipes.ppo import PpoRecipe


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, PpoRecipe)
    return Ppo(context, recipe).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class PpoRollout(Rollout):
    """`values_BA` are the critic's, which `prior_BA` is a part of: what the reward model foresaw.

    `advantages_BA` is white over the rollout.
    """

    prior_BA: Tensor
    values_BA: Tensor
    advantages_BA: Tensor
    targets_BA: Tensor


@dataclass(slots=True)
class PpoState(State[PpoRollout]):
    kl_price: float = field(kw_only=True)


class Ppo(Loop[PpoRollout]):
    policy_type = Actor
    rollout_type = PpoRollout
    last = ("reward", "kl", "ended", "length", "entropy", "raw_score", "explained_variance")

    recipe: PpoRecipe
    actor: Actor
    state: PpoState

    def __init__(self, context: RunContext, recipe: PpoRecipe) -> None:
        super().__init__(context, recipe, samples=recipe.samples_per_prompt)
        self.state = PpoState(kl_price=recipe.kl_coefficient)
        self.corpus: Corpus | None = None
        if context.has_input("corpus"):
            self.corpus = Corpus(context, recipe, self.tokenizer, window=self.window, seed=self.seed)

    def collect(self) -> tuple[PpoRollout, Scale]:
        recipe, collector, number = self.recipe, self.collector, self.state.number
        assert self.judge is not None
        asked = collector.asked(number)
        answers = collector.sample(asked, number)
        said = [
            Said(p.messages, a.text, reaches_of(self.tokenizer, a.ids)) for p, a in zip(asked, answers, strict=True)
        ]
        found = collector.score(self.judge, said, number)
        scale = self.state.scale or Scale.of(found.final_B, otherwise=self.judge.scale)
        ended_B = torch.tensor([a.ended for a in answers])
        scores_B = collector.final_scores(found.final_B, ended_B, scale=scale)
        completions = [Completion(p.ids, a.ids) for p, a in zip(asked, answers, strict=True)]
        batches = collector.minibatches(number, epoch=0)
        old_BA, entropies_BA, reference_BA, critic_BA = collector.read(completions, batches=batches)
        mask_BA = mask_of(completions)
        rewards_BA = ppo_math.token_rewards(scores_B, old_BA, reference_BA, mask_BA, kl_price=self.state.kl_price)
        along_BA = scale.normalise(found.along_BA).clamp(-recipe.reward_clip, recipe.reward_clip)
        prior_BA = ppo_math.foreseen_returns(along_BA, rewards_BA, mask_BA, gamma=recipe.gamma)
        values_BA = prior_BA + critic_BA
        advantages_BA, targets_BA = ppo_math.generalised_advantages(
            rewards_BA, values_BA, mask_BA, gamma=recipe.gamma, lam=recipe.lam
        )
        rollout = PpoRollout(
            completions=completions,
            texts=[a.text for a in answers],
            raw_B=found.final_B,
            scores_B=scores_B,
            ended_B=ended_B,
            kl_B=ppo_math.completion_kl(old_BA, reference_BA, mask_BA),
            mask_BA=mask_BA,
            old_BA=old_BA,
            prior_BA=prior_BA,
            values_BA=values_BA,
            # Over the rollout and not over a minibatch: whether a completion was good is not a matter of its company.
            advantages_BA=ppo_math.whiten(advantages_BA, mask_BA),
            targets_BA=targets_BA,
            entropy=ppo_math.masked_mean(entropies_BA, mask_BA).item(),
            sampling_gap=sampling_gap(answers, old_BA),
        )
        return rollout, scale

    def losses(self, rollout: PpoRollout) -> LossOf:
        return partial(self.loss, rollout)

    def loss(self, rollout: PpoRollout, rows: list[int]) -> Loss:
        """Both clipped losses. They share no weight: the sum sends each its own gradient, and each is clipped alone."""
        texts = self.actor.texts([rollout.completions[row] for row in rows])
        mask_BA = texts.mask_BA

        def part(all_BA: Tensor) -> Tensor:
            return all_BA[rows, : mask_BA.shape[1]].to(self.actor.device)

        said = self.actor.read(texts)
        assert said.values_BA is not None
        policy = ppo_math.policy_loss(
            said.logprobs_BA, part(rollout.old_BA), part(rollout.advantages_BA), mask_BA, clip=self.recipe.clip
        )
        value = ppo_math.value_loss(
            part(rollout.prior_BA) + said.values_BA,
            part(rollout.values_BA),
            part(rollout.targets_BA),
            mask_BA,
            clip=self.recipe.clip_value,
        )
        figures = {
            "policy_loss": policy.loss.item(),
            "value_loss": value.item(),
            "approx_kl": policy.approx_kl.item(),
            "clip_fraction": policy.clip_fraction.item(),
            "ratio": policy.mean_ratio.item(),
            "ratio_error": policy.max_ratio_error.item(),
        }
        return Loss(policy.loss + value, figures)

    def beside(self) -> dict[str, float]:
        """The corpus: on its own, so that what the two keep for their way back never stands side by side."""
        if self.corpus is None:
            return {}
        minibatch = self.state.number * self.most_minibatches + self.state.passes.done
        loss = self.corpus.loss(self.actor, minibatch=minibatch)
        (self.recipe.ptx_weight * loss).backward()
        return {"ptx_loss": loss.item()}

    def share(self) -> float:
        """Rises over the first rollout's passes.

        Adam's first steps move every weight by its rate whatever the gradient says: taken at once, they cost nats of KL
        that buy nothing.
        """
        warm = (self.state.passes.done + 1) / self.most_minibatches if self.state.number == 0 else 1.0
        return warm * super().share()

    def finish(self, rollout: PpoRollout) -> None:
        """And sets the price of the next."""
        super().finish(rollout)
        recipe, state = self.recipe, self.state
        state.kl_price = ppo_math.next_kl_price(
            state.kl_price,
            kl=state.history[-1]["kl"],
            target=recipe.target_kl,
            episodes=recipe.batch_size,
            horizon=recipe.kl_horizon,
        )

    def figures(self, rollout: PpoRollout) -> dict[str, float]:
        figures, price = super().figures(rollout), self.state.kl_price
        return figures | {
            "kl_coefficient": price,
            "objective": figures["reward"] - price * figures["kl"],
            "explained_variance": ppo_math.explained_variance(rollout.values_BA, rollout.targets_BA, rollout.mask_BA),
        }

    def metrics(self) -> dict[str, Any]:
        scale = self.state.scale
        assert scale is not None
        return super().metrics() | {
            "kl_coefficient": self.state.kl_price, "scale_mean": scale.mean, "scale_std": scale.std
        }  # fmt: skip
