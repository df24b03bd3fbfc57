"""The loop of every method that learns from groups of completions: a rollout, passes over it, figures, a checkpoint.

RLOO, GRPO and online DPO differ in their `Objective` alone. What they share is decided here:

- A rollout's log-probabilities are taken by the pass that is trained, in the very minibatches of the first pass, with
  no dropout anywhere: the first ratio of each rollout is exactly 1, and a run where it is not ends (`first_ratio`).
- The reward model reads the whole conversation as text, end of turn included. Its scores are put on the scale of the
  first rollout, which the reference sampled: mean 0, deviation 1. People's orders are put on the same one (`votes`).
- What nobody scored is masked: no part of a baseline, no advantage, no weight in the loss.
- A checkpoint may stand in the middle of a rollout's passes, so that a stop never waits for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from training.context import RunContext, Stopped
from training.mechanics import checkpoints, group_math, group_state, models, randomness
from training.mechanics.coach_policies import far_from_reference
from training.mechanics.group_rollout import Collector, GroupRollout, refuse_no_judge
from training.mechanics.group_state import State
from training.mechanics.group_update import Objective, new_optimizer, train_on
from training.mechanics.judge import Judge
from training.mechanics.ppo_model import Policy
from training.mechanics.ppo_rollout import read_prompts
from training.mechanics.ppo_update import Passes
from training.mechanics.shared_trunk import take_off
from training.mechanics.trainer import refuse_poisoned
from training.recipes.online import OnlineRecipe

SAMPLES = 3
LAST = ("reward", "raw_score", "kl", "ended", "length", "entropy", "zero_std_groups", "masked", "voted")


def run(context: RunContext, recipe: OnlineRecipe, objective: Callable[[int], Objective]) -> dict[str, Any]:
    """Trains and publishes; `objective` is made from the run's seed. Returns the final metrics."""
    model_input = context.input("model")
    tokenizer = models.load_tokenizer(model_input)
    seed = context.spec.seed + recipe.seed
    loop = Loop(context, recipe, objective(seed), tokenizer=tokenizer, seed=seed)
    loop.train()
    take_off(loop.actor.policy)
    models.publish_model(loop.actor.policy, tokenizer, context.output, adapter_allowed=model_input.base is None)
    return loop.metrics()


class Loop:
    def __init__(
        self, context: RunContext, recipe: OnlineRecipe, objective: Objective, *, tokenizer: Any, seed: int
    ) -> None:
        self.context = context
        self.recipe = recipe
        self.objective = objective
        self.tokenizer = tokenizer
        randomness.seed_everything(seed)  # of the fresh adapter; nothing else draws from it
        refuse_no_judge(recipe, has_judge=context.has_input("reward"))
        self.actor = Policy(context.input("model"), recipe)
        judge: Judge | None = None
        if context.has_input("reward"):
            judge = Judge.beside(self.actor, context.input("model"), context.input("reward"))
        window = getattr(self.actor.plain.config.get_text_config(), "max_position_embeddings", None)
        room = None if window is None else window - recipe.max_new_tokens
        prompts = read_prompts(context, tokenizer, room=room)
        self.collector = Collector(
            context, recipe, self.actor, judge, tokenizer=tokenizer, prompts=prompts, seed=seed, plan=objective.plan
        )
        self.optimizer = new_optimizer(self.actor, recipe)
        self.total = math.ceil(recipe.episodes / recipe.batch_size)
        self.state = State()
        self.ended_early = False

    def train(self) -> None:
        """Raises `Stopped` after a checkpoint; the next attempt goes on from there."""
        newest = checkpoints.newest(self.context.checkpoints)
        if newest is not None:
            self.state = group_state.read(newest, actor=self.actor, optimizer=self.optimizer)
            self.context.log(f"Resuming from {newest.name}.")
        self.tell_progress()
        while self.state.number < self.total and not self.is_far():
            rollout = self.rollout()
            self.pass_over(rollout)
            self.finish(rollout)
            if self.state.number % self.recipe.checkpoint_every == 0:
                self.keep()
        refuse_poisoned(self.actor.policy, step=self.state.number)

    def rollout(self) -> GroupRollout:
        """A fresh one, or the one whose passes were interrupted."""
        if self.state.rollout is not None:
            return self.state.rollout
        try:
            rollout, self.state.scale = self.collector.collect(self.state.number, scale=self.state.scale)
        except Stopped:
            self.keep()
            raise
        self.state.rollout, self.state.passes = rollout, Passes()
        return rollout

    def pass_over(self, rollout: GroupRollout) -> None:
        """The rate falls in a straight line from the first rollout's to 0 behind the last."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * (1.0 - self.state.number / self.total)
        train_on(
            rollout,
            self.state.passes,
            self.recipe,
            objective=self.objective,
            actor=self.actor,
            optimizer=self.optimizer,
            number=self.state.number,
            stop_requested=lambda: self.context.stop_requested,
        )
        if not self.state.passes.is_over:
            self.keep()
            raise Stopped

    def finish(self, rollout: GroupRollout) -> None:
        """Tells what the rollout and its passes came to."""
        state = self.state
        figures = self.figures(rollout)
        state.history.append(figures)
        if state.number % self.recipe.checkpoint_every == 0:
            self.show(rollout)
        state.number += 1
        state.rollout, state.passes = None, Passes()
        self.context.metric(state.number, **figures)
        self.tell_progress()

    def figures(self, rollout: GroupRollout) -> dict[str, float]:
        """Of one rollout; KL, entropy, reward and length are of the policy that sampled it, before its passes.

        What has no value is left out: a reward where nobody scored anything, ratios where nothing was learned from.
        """
        scores, passes = rollout.scores_B[rollout.counts_B], self.state.passes
        minibatches = len(self.objective.plan(rollout.scores_B, self.state.number, 0))
        figures = {
            "kl": rollout.kl_B.mean().item(),
            "entropy": rollout.entropy,
            "length": rollout.mask_BA.sum(dim=1).float().mean().item(),
            "ended": rollout.ended_B.float().mean().item(),
            "zero_std_groups": group_math.indifferent_groups(rollout.scores_B, k=self.recipe.k).float().mean().item(),
            "masked": 1.0 - rollout.counts_B.float().mean().item(),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "passes": passes.done / max(1, minibatches),
        }
        if len(scores):
            figures |= {"reward": scores.mean().item(), "reward_std": scores.std(correction=0).item()}
        if self.collector.judge is not None:
            figures["raw_score"] = rollout.raw_B.mean().item()
        if self.recipe.votes is not None:
            figures["voted"] = rollout.voted_B.float().mean().item()
        if passes.figures:
            errors = [each["ratio_error"] for each in passes.figures]
            figures |= passes.means() | {"first_ratio_error": errors[0], "ratio_error": max(errors)}
        return figures

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
        checkpoints.publish(
            self.context.checkpoints,
            state.number * (most + 1) + state.passes.done,  # a finished rollout stands one above its last minibatch
            lambda folder: group_state.write(folder, state, actor=self.actor, optimizer=self.optimizer),
        )

    def show(self, rollout: GroupRollout) -> None:
        for i, text in enumerate(rollout.texts[:SAMPLES]):
            score = rollout.scores_B[i].item()
            self.context.sample(
                self.state.number, prompt=self.tokenizer.decode(rollout.completions[i].prompt), text=text,
                reward=None if math.isnan(score) else score, kl=rollout.kl_B[i].item(), ended=bool(rollout.ended_B[i]),
            )  # fmt: skip

    def tell_progress(self) -> None:
        size = self.recipe.batch_size
        self.context.progress("training", self.state.number * size, self.total * size, unit="episodes")

    def metrics(self) -> dict[str, Any]:
        """Means over the last quarter of the rollouts: one rollout alone is mostly chance."""
        history = self.state.history
        last = history[-max(1, len(history) // 4) :]
        told: dict[str, Any] = {"episodes": self.state.number * self.recipe.batch_size, "ended_early": self.ended_early}
        for name in ("reward", "raw_score"):
            if name in history[0]:
                told[f"{name}_before"] = history[0][name]
        for name in LAST:
            found = [figures[name] for figures in last if name in figures]
            if found:
                told[name] = sum(found) / len(found)
        return told
