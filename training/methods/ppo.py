"""Proximal policy optimisation on a reward model (Schulman et al. 2017; Ziegler et al. 2019), in torch, read downwards.

TRL 1.16 has no PPO trainer, so this is ours; `ppo_math` holds the equations, each with its paper. What we decided:

- A rollout's log-probabilities are taken by the pass that is trained, in the very minibatches of the first pass, with
  no dropout anywhere: the first ratio of each rollout is exactly 1, and a run where it is not ends (`first_ratio`).
- The reward model reads the whole conversation as text, end of turn included: the very form it was trained on. A
  completion that was cut at its length is scored as if it had ended there, less a penalty.
- Scores are put on the scale of the first rollout, which the reference sampled: mean 0, deviation 1 (Huang et al. 2024).
- KL to the reference is paid token by token, at a price that an adaptive controller steers.
- The critic is a head on the policy's own detached hidden states; `ppo_model` says why.
- Where a corpus is given, its likelihood is an aim beside the reward (`ptx`): what pleases people should stay a language.
- A checkpoint may stand in the middle of a rollout's passes, so that a stop never waits for them.
"""

from __future__ import annotations

import math
from typing import Any

from training.context import RunContext, Stopped
from training.mechanics import checkpoints, models, ppo_math, ppo_state, randomness
from training.mechanics.coach_policies import far_from_reference
from training.mechanics.judge import Judge
from training.mechanics.ppo_model import Actor
from training.mechanics.ppo_rollout import Rollout, collect, read_prompts
from training.mechanics.ppo_state import State
from training.mechanics.ppo_update import Passes, new_optimizer, train_on
from training.mechanics.ptx import Corpus
from training.mechanics.shared_trunk import take_off
from training.mechanics.trainer import refuse_poisoned
from training.recipes.ppo import PpoRecipe

SAMPLES = 3


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, PpoRecipe)
    model_input = context.input("model")
    tokenizer = models.load_tokenizer(model_input)
    loop = Loop(context, recipe, tokenizer)
    loop.train()
    take_off(loop.actor.policy)
    models.publish_model(loop.actor.policy, tokenizer, context.output, adapter_allowed=model_input.base is None)
    return loop.metrics()


class Loop:
    def __init__(self, context: RunContext, recipe: PpoRecipe, tokenizer: Any) -> None:
        self.context = context
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.seed = context.spec.seed + recipe.seed
        randomness.seed_everything(self.seed)  # of the fresh adapter and critic; nothing else draws from it
        self.actor = Actor(context.input("model"), recipe)
        self.judge = Judge.beside(self.actor, context.input("model"), context.input("reward"))
        window = getattr(self.actor.plain.config.get_text_config(), "max_position_embeddings", None)
        room = None if window is None else window - recipe.max_new_tokens
        self.prompts = read_prompts(context, tokenizer, room=room)
        self.corpus: Corpus | None = None
        if "corpus" in context.spec.inputs:
            self.corpus = Corpus(context, recipe, tokenizer, window=window, seed=self.seed)
        self.optimizer = new_optimizer(self.actor, recipe)
        self.total = math.ceil(recipe.episodes / recipe.batch_size)
        self.state = State(kl_price=recipe.kl_coefficient)
        self.ended_early = False

    def train(self) -> None:
        """Raises `Stopped` after a checkpoint; the next attempt goes on from there."""
        newest = checkpoints.newest(self.context.checkpoints)
        if newest is not None:
            self.state = ppo_state.read(newest, actor=self.actor, optimizer=self.optimizer)
            self.context.log(f"Resuming from {newest.name}.")
        self.tell_progress()
        while self.state.number < self.total and not self.is_far():
            rollout = self.rollout()
            self.pass_over(rollout)
            self.finish(rollout)
            if self.state.number % self.recipe.checkpoint_every == 0:
                self.keep()
        refuse_poisoned(self.actor.policy, step=self.state.number)

    def rollout(self) -> Rollout:
        """A fresh one, or the one whose passes were interrupted."""
        if self.state.rollout is not None:
            return self.state.rollout
        try:
            rollout, scale = collect(
                self.context,
                self.recipe,
                actor=self.actor,
                judge=self.judge,
                tokenizer=self.tokenizer,
                prompts=self.prompts,
                number=self.state.number,
                seed=self.seed,
                kl_price=self.state.kl_price,
                scale=self.state.scale,
            )
        except Stopped:
            self.keep()
            raise
        self.state.scale = scale
        self.state.rollout, self.state.passes = rollout, Passes()
        return rollout

    def pass_over(self, rollout: Rollout) -> None:
        train_on(
            rollout,
            self.state.passes,
            self.recipe,
            actor=self.actor,
            optimizer=self.optimizer,
            number=self.state.number,
            total=self.total,
            seed=self.seed,
            stop_requested=lambda: self.context.stop_requested,
            corpus=self.corpus,
        )
        if not self.state.passes.is_over:
            self.keep()
            raise Stopped

    def finish(self, rollout: Rollout) -> None:
        """Tells what the rollout and its passes came to, and sets the price of the next."""
        state, recipe = self.state, self.recipe
        figures = self.figures(rollout)
        state.history.append(figures)
        if state.number % recipe.checkpoint_every == 0:
            self.show(rollout)
        state.kl_price = ppo_math.next_kl_price(
            state.kl_price,
            kl=figures["kl"],
            target=recipe.target_kl,
            episodes=recipe.batch_size,
            horizon=recipe.kl_horizon,
        )
        state.number += 1
        state.rollout, state.passes = None, Passes()
        self.context.metric(state.number, **figures)
        self.tell_progress()

    def figures(self, rollout: Rollout) -> dict[str, float]:
        """Of one rollout; KL, entropy, reward and length are of the policy that sampled it, before its passes."""
        price, kl = self.state.kl_price, rollout.kl_B.mean().item()
        reward = rollout.scores_B.mean().item()
        means = self.state.passes.means()
        return {
            "reward": reward,
            "raw_score": rollout.raw_B.mean().item(),
            "reward_std": rollout.scores_B.std(correction=0).item(),
            "kl": kl,
            "kl_coefficient": price,
            "objective": reward - price * kl,
            "entropy": rollout.entropy,
            "length": rollout.mask_BA.sum(dim=1).float().mean().item(),
            "ended": rollout.ended_B.float().mean().item(),
            "explained_variance": ppo_math.explained_variance(rollout.values_BA, rollout.targets_BA, rollout.mask_BA),
            "first_ratio_error": self.state.passes.figures[0]["ratio_error"],
            "passes": self.state.passes.done * self.recipe.minibatch_size / self.recipe.batch_size,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **means,
            "ratio_error": max(figures["ratio_error"] for figures in self.state.passes.figures),
        }

    def is_far(self) -> bool:
        """The last rollouts were all far beyond the target: going on would please the reward model and nobody else."""
        target = self.recipe.target_kl
        kls = [figures["kl"] for figures in self.state.history]
        finding = None if target is None else far_from_reference(kls, target=target)
        if finding is not None and not self.ended_early:
            self.ended_early = True
            self.context.tell(finding)
        return finding is not None

    def keep(self) -> None:
        """A checkpoint of this very moment. Its number grows with every minibatch, in the middle of passes too."""
        refuse_poisoned(self.actor.policy, step=self.state.number)
        recipe, state = self.recipe, self.state
        most = recipe.epochs * recipe.batch_size // recipe.minibatch_size
        # A finished rollout stands one above its last minibatch: the price has moved since.
        step = state.number * (most + 1) + state.passes.done
        checkpoints.publish(
            self.context.checkpoints,
            step,
            lambda folder: ppo_state.write(folder, state, actor=self.actor, optimizer=self.optimizer),
        )

    def show(self, rollout: Rollout) -> None:
        for i, text in enumerate(rollout.texts[:SAMPLES]):
            prompt = self.tokenizer.decode(rollout.completions[i].prompt)
            self.context.sample(
                self.state.number, prompt=prompt, text=text, reward=rollout.scores_B[i].item(),
                kl=rollout.kl_B[i].item(), ended=bool(rollout.ended_B[i]),
            )  # fmt: skip

    def tell_progress(self) -> None:
        size = self.recipe.batch_size
        self.context.progress("training", self.state.number * size, self.total * size, unit="episodes")

    def metrics(self) -> dict[str, Any]:
        """Means over the first and the last quarter of the rollouts: one rollout alone is mostly chance."""
        history = self.state.history
        some = max(1, len(history) // 4)
        scale = self.state.scale
        assert scale is not None

        def mean(name: str, figures: list[dict[str, float]]) -> float:
            return sum(f[name] for f in figures) / len(figures)

        last = {
            name: mean(name, history[-some:]) for name in ("reward", "kl", "ended", "length", "entropy", "raw_score")
        }
        return {
            "episodes": self.state.number * self.recipe.batch_size,
            "reward_before": mean("reward", history[:1]),
            **last,
            "explained_variance": mean("explained_variance", history[-some:]),
            "kl_coefficient": self.state.kl_price,
            "scale_mean": scale.mean,
            "scale_std": scale.std,
            "ended_early": self.ended_early,
        }
