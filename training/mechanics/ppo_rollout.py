"""A rollout: completions that the policy sampled, what they scored, and what policy, reference and critic said of them.

Every lot is a function of the run's seed and of the number of the episode, rollout or pass that it is drawn for. No
random state goes on from one to the next, so there is none to lose: a run that resumes draws what it would have drawn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import datasets, ppo_math, sampling
from training.mechanics.datasets import Message
from training.mechanics.judge import Judge, Said, Scores, reaches_of
from training.mechanics.ppo_math import Scale
from training.mechanics.ppo_model import Actor
from training.mechanics.scoring import Completion
from training.recipes.ppo import PpoRecipe


@dataclass(frozen=True, slots=True)
class Prompt:
    messages: list[Message]
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Tensors on the CPU; column a of `_BA` is a completion's token a, `advantages_BA` is white over the rollout.

    `values_BA` are the critic's, which `prior_BA` is a part of: what the reward model foresaw.
    """

    completions: list[Completion]
    texts: list[str]
    raw_B: Tensor
    scores_B: Tensor
    ended_B: Tensor
    kl_B: Tensor
    mask_BA: Tensor
    old_BA: Tensor
    prior_BA: Tensor
    values_BA: Tensor
    advantages_BA: Tensor
    targets_BA: Tensor
    entropy: float

    def as_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Rollout:
        return cls(**{**plain, "completions": [Completion(**c) for c in plain["completions"]]})


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


def permutation(size: int, *parts: object) -> list[int]:
    order: list[int] = np.random.default_rng(sampling.seed_of(*parts)).permutation(size).tolist()
    return order


def minibatches(recipe: PpoRecipe, *, seed: int, number: int, epoch: int) -> list[list[int]]:
    """Which completions of rollout `number` are a minibatch of its pass `epoch`: a fresh permutation each time.

    Those of one prompt stay together, so that it is read once for them.
    """
    samples = recipe.samples_per_prompt
    prompts = permutation(recipe.batch_size // samples, seed, "passes", number, epoch)
    order = [prompt * samples + i for prompt in prompts for i in range(samples)]
    return [order[i : i + recipe.minibatch_size] for i in range(0, len(order), recipe.minibatch_size)]


def collect(
    context: RunContext,
    recipe: PpoRecipe,
    *,
    actor: Actor,
    judge: Judge,
    tokenizer: Any,
    prompts: list[Prompt],
    number: int,
    seed: int,
    kl_price: float,
    scale: Scale | None,
) -> tuple[Rollout, Scale]:
    """Rollout `number`. Changes nothing, so that a request to stop, `Stopped`, may come at any moment of it.

    Scores are put on the scale of the first rollout, which is the reference's (mean 0, deviation 1), where `scale` is
    none yet; see `ppo_math.Scale.of`.
    """
    episodes = range(number * recipe.batch_size, (number + 1) * recipe.batch_size)
    asked = prompts_of(prompts, episodes, seed=seed, samples=recipe.samples_per_prompt)
    answers = sample(context, recipe, actor=actor, tokenizer=tokenizer, asked=asked, number=number, seed=seed)
    said = [Said(p.messages, a.text, reaches_of(tokenizer, a.ids)) for p, a in zip(asked, answers, strict=True)]
    with actor.autocast():
        found = judge.score(context, said, batch_size=recipe.minibatch_size)
    refuse_not_finite(found, number)
    scale = scale or Scale.of(found.final_B, otherwise=judge.scale)
    ended_B = torch.tensor([a.ended for a in answers])
    scores_B = ppo_math.final_scores(
        scale.normalise(found.final_B), ended_B, clip=recipe.reward_clip, missing_eos_penalty=recipe.missing_eos_penalty
    )
    completions = [Completion(p.ids, a.ids) for p, a in zip(asked, answers, strict=True)]
    batches = minibatches(recipe, seed=seed, number=number, epoch=0)
    old_BA, critic_BA, entropies_BA, reference_BA = read_all(
        context, actor=actor, completions=completions, batches=batches
    )
    mask_BA = torch.arange(old_BA.shape[1]) < torch.tensor([[len(c.ids)] for c in completions])
    rewards_BA = ppo_math.token_rewards(scores_B, old_BA, reference_BA, mask_BA, kl_price=kl_price)
    along_BA = scale.normalise(found.along_BA).clamp(-recipe.reward_clip, recipe.reward_clip)
    prior_BA = ppo_math.foreseen_returns(along_BA, rewards_BA, mask_BA, gamma=recipe.gamma)
    values_BA = prior_BA + critic_BA
    advantages_BA, targets_BA = ppo_math.generalised_advantages(
        rewards_BA, values_BA, mask_BA, gamma=recipe.gamma, lam=recipe.lam
    )
    rollout = Rollout(
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
    )
    return rollout, scale


def sample(
    context: RunContext,
    recipe: PpoRecipe,
    *,
    actor: Actor,
    tokenizer: Any,
    asked: list[Prompt],
    number: int,
    seed: int,
) -> list[sampling.Sample]:
    """From the whole distribution: whatever `top_p` cut off would be missing from the ratios."""
    with actor.autocast():
        return sampling.sample(
            actor.policy,
            tokenizer,
            [prompt.ids for prompt in asked],
            seeds=[sampling.seed_of(seed, "episode", number * recipe.batch_size + i) for i in range(len(asked))],
            temperatures=[recipe.temperature] * len(asked),
            top_p=1.0,
            max_new_tokens=recipe.max_new_tokens,
            batch_size=recipe.batch_size,
            stop_requested=lambda: context.stop_requested,
        )


@torch.no_grad()
def read_all(
    context: RunContext, *, actor: Actor, completions: list[Completion], batches: list[list[int]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Old log-probabilities, the critic's part of values, entropies and the reference's log-probabilities, all [B, A].

    Read in the very minibatches of the first pass: sums over another company round differently, and its first ratio
    would be 1 only nearly.
    """
    shape = len(completions), max(len(c.ids) for c in completions)
    old_BA, values_BA, entropies_BA, reference_BA = (torch.zeros(shape) for _ in range(4))
    for rows in batches:
        if context.stop_requested:
            raise Stopped
        texts = actor.texts([completions[row] for row in rows])
        reading = actor.read(texts, entropies=True)
        assert reading.entropies_BA is not None
        width = texts.mask_BA.shape[1]
        old_BA[rows, :width] = reading.logprobs_BA.cpu()
        values_BA[rows, :width] = reading.values_BA.cpu()
        entropies_BA[rows, :width] = reading.entropies_BA.cpu()
        reference_BA[rows, :width] = actor.reference_logprobs(texts).cpu()
    return old_BA, values_BA, entropies_BA, reference_BA


def refuse_not_finite(found: Scores, number: int) -> None:
    if not (torch.isfinite(found.final_B).all() and torch.isfinite(found.along_BA).all()):
        raise Failure(
            "not_finite",
            f"The reward model gave a score that is not finite in rollout {number + 1}; the last checkpoint was kept.",
            advice="Train the reward model again: its weights are broken.",
        )
