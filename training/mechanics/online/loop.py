"""The loop of every method that learns from what its policy writes: a rollout, passes over it, figures, a checkpoint.

What a method adds is in its own file; what all of them share is decided here:

- A rollout's log-probabilities are taken by the pass that is trained, in the very minibatches of the first pass, with
  no dropout anywhere: the first ratio of each rollout is exactly 1, and a run where it is not ends (`first_ratio`).
- The reward model reads the whole conversation as text, end of turn included: the very form it was trained on. A
  completion that was cut at its length is scored as if it had ended there, less a penalty.
- Scores are put on the scale of the first rollout, which the reference sampled: mean 0, deviation 1 (Huang et al. 2024).
- A checkpoint may stand in the middle of a rollout's passes, so that a stop never waits for them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Generic

import torch
from torch import Tensor

from training.context import RunContext, Stopped
from training.mechanics import checkpoints, memory, models, randomness
from training.mechanics.coach.policies import far_from_reference
from training.mechanics.estimate.probe import Probe
from training.mechanics.generation.chosen import refuse_no_vllm, sampler_of
from training.mechanics.memory import Room
from training.mechanics.online import state as online_state
from training.mechanics.online.figures import figures_of, show
from training.mechanics.online.judge import Judge
from training.mechanics.online.passes import Loss, Passes, check_first_ratio, refuse_not_finite, train_on
from training.mechanics.online.policy import LoopRecipe, Policy
from training.mechanics.online.rollout import Collector, longest, read_prompts
from training.mechanics.online.shared_trunk import take_off
from training.mechanics.online.state import R, State
from training.mechanics.ppo.math import Scale
from training.mechanics.trainers.refusals import refuse_poisoned

LossOf = Callable[[list[int]], Loss | None]
"""The loss of a minibatch, by the places of its completions; none where they have nothing to teach."""


class Loop(ABC, Generic[R]):
    policy_type: ClassVar[type[Policy]] = Policy
    rollout_type: type[R]
    before: ClassVar[tuple[str, ...]] = ("reward",)
    """Figures whose value in the first rollout is a final metric of the run."""
    last: ClassVar[tuple[str, ...]]
    """Figures whose mean over the last quarter is one."""

    def __init__(self, context: RunContext, recipe: LoopRecipe, *, samples: int) -> None:
        self.context = context
        self.recipe = recipe
        self.refuse()
        given = context.input("model")
        self.tokenizer = models.load_tokenizer(given)
        self.seed = context.spec.seed + recipe.seed
        randomness.seed_everything(self.seed)  # of a fresh adapter or critic; nothing else draws from it
        self.actor = self.policy_type(given, recipe)
        self.actor.room = Room(context, self.tokenizer)
        # An input that the method can't do without is a `Failure` where it is missing.
        has_judge = "reward" in recipe.inputs or context.has_input("reward")
        self.judge = Judge.beside(self.actor, given, context.input("reward")) if has_judge else None
        self.window = getattr(self.actor.plain.config.get_text_config(), "max_position_embeddings", None)
        room = None if self.window is None else self.window - recipe.max_new_tokens
        prompts = read_prompts(context, self.tokenizer, room=room)
        self.sampler = sampler_of(
            context, recipe, self.actor, self.tokenizer, longest=max(len(prompt.ids) for prompt in prompts)
        )
        self.collector = Collector(
            context, recipe, self.actor, self.sampler, prompts=prompts, seed=self.seed, samples=samples
        )
        # eps 1e-5: with torch's 1e-8 the first steps, whose second moments are tiny, are far larger (Huang et al. 2024).
        groups = [{"params": list(part.weights.values()), "lr": part.rate} for part in self.actor.trained()]
        self.optimizer = torch.optim.Adam(groups, eps=1e-5)
        self.total = math.ceil(recipe.episodes / recipe.batch_size)
        self.state: State[R] = State()
        self.ended_early = False

    # What a method adds

    def refuse(self) -> None:
        """Raises `Failure` for what can't be done, before a model is loaded."""
        refuse_no_vllm(self.recipe)

    @abstractmethod
    def collect(self) -> tuple[R, Scale | None]:
        """The next rollout, and the scale that scores are put on. Changes nothing. Raises `Stopped`, `Failure`."""

    @abstractmethod
    def losses(self, rollout: R) -> LossOf: ...

    def plan(self, scores_B: Tensor, *, epoch: int) -> list[list[int]]:
        """The minibatches of a pass, by the places of completions: all of them, in an order of its own."""
        return self.collector.minibatches(self.state.number, epoch)

    def share(self) -> float:
        """Of each learning rate, in the next minibatch: falls in a straight line to 0 behind the last rollout."""
        return 1.0 - self.state.number / self.total

    def beside(self) -> dict[str, float]:
        """Sends back the gradient of what is learned beside the rollout, and tells its figures."""
        return {}

    # What all share

    def run(self) -> dict[str, Any]:
        """Trains and publishes. Returns the final metrics."""
        try:
            self.train()
        finally:
            self.sampler.close()
        take_off(self.actor.policy)
        models.publish_model(self.actor.policy, self.tokenizer, self.context.output)
        return self.metrics()

    def train(self) -> None:
        """Raises `Stopped` after a checkpoint; the next attempt goes on from there."""
        newest = checkpoints.newest(self.context.checkpoints)
        if newest is not None:
            self.state = online_state.read(
                newest, self.state, rollout=self.rollout_type, actor=self.actor, optimizer=self.optimizer
            )
            self.context.log(f"Resuming from {newest.name}.")
        self.tell_progress()
        if memory.is_scarce() and self.state.rollout is None:
            prompts, size = self.collector.prompts, self.recipe.minibatch_size
            self.actor.try_longest(longest(prompts, size, self.recipe.max_new_tokens))
        if self.context.probe is not None:
            self.probed(self.context.probe)
        while self.state.number < self.total and not self.is_far():
            self.one_rollout()
        refuse_poisoned(self.actor.policy, step=self.state.number)

    def one_rollout(self) -> None:
        """A rollout, its passes, its figures, and a checkpoint where one is due."""
        rollout = self.rollout()
        self.pass_over(rollout)
        self.finish(rollout)
        if self.state.number % self.recipe.checkpoint_every == 0:
            self.keep()

    def probed(self, probe: Probe) -> None:
        """Times rollouts until there were enough, and goes to the end of the run."""
        loop = probe.loop("rollouts", total=self.total, unit="rollouts")
        loop.warm_up = 1
        while self.state.number < self.total and not loop.is_enough():
            with loop.one():
                self.one_rollout()
        self.keep()
        loop.leave()
        probe.owe("checkpoints", total=self.total // self.recipe.checkpoint_every)
        self.state.number = self.total

    def rollout(self) -> R:
        """A fresh one, or the one whose passes were interrupted."""
        if self.state.rollout is not None:
            return self.state.rollout
        try:
            rollout, self.state.scale = self.collect()
        except Stopped:
            self.keep()
            raise
        self.state.rollout, self.state.passes = rollout, Passes()
        return rollout

    def pass_over(self, rollout: R) -> None:
        """Raises `Stopped` after a checkpoint, and `Failure` ("first_ratio", "not_finite")."""
        self.set_rates()  # where there is no minibatch, too: the rate is a figure
        train_on(
            self.state.passes,
            [rows for epoch in range(self.recipe.epochs) for rows in self.plan(rollout.scores_B, epoch=epoch)],
            partial(self.step_in_room, rollout, self.losses(rollout)),
            stop_kl=self.recipe.stop_kl,
            stop_requested=lambda: self.context.stop_requested,
        )
        if not self.state.passes.is_over:
            self.keep()
            raise Stopped

    def step_in_room(self, rollout: R, loss_of: LossOf, rows: list[int]) -> dict[str, float] | None:
        """`step`, read in as many parts as it takes; see `Room.fit`."""
        # Of the first pass alone: those of another, in other company, would round otherwise again.
        first_pass = [] if self.state.passes.figures else self.plan(rollout.scores_B, epoch=0)
        undo = partial(self.collector.take_anew, rollout, first_pass)
        some = [rollout.completions[row] for row in rows]
        return self.actor.fit(partial(self.step, loss_of, rows), some, undo=undo)

    def step(self, loss_of: LossOf, rows: list[int]) -> dict[str, float] | None:
        """Figures of one minibatch, whose step is taken unless the policy has moved too far."""
        self.set_rates()
        found = loss_of(rows)
        if found is None:
            return None
        figures = found.figures
        refuse_not_finite(figures, self.state.number)
        if not self.state.passes.figures:
            check_first_ratio(figures["ratio_error"])
        if figures["approx_kl"] > self.recipe.stop_kl:
            return figures
        self.optimizer.zero_grad(set_to_none=True)
        found.loss.backward()
        figures |= self.beside()
        for part in self.actor.trained():
            norm = torch.nn.utils.clip_grad_norm_(list(part.weights.values()), self.recipe.max_grad_norm)
            figures[part.norm] = norm.item()
        refuse_not_finite(figures, self.state.number)
        memory.take_step(self.optimizer)
        return figures

    def set_rates(self) -> None:
        for group, part in zip(self.optimizer.param_groups, self.actor.trained(), strict=True):
            group["lr"] = part.rate * self.share()

    def finish(self, rollout: R) -> None:
        """Tells what the rollout and its passes came to."""
        state = self.state
        figures = self.figures(rollout)
        state.history.append(figures)
        if state.number % self.recipe.checkpoint_every == 0:
            show(self.context, rollout, number=state.number, tokenizer=self.tokenizer)
        state.number += 1
        state.rollout, state.passes = None, Passes()
        self.context.metric(state.number, **figures)
        self.tell_progress()

    def figures(self, rollout: R) -> dict[str, float]:
        rate, minibatches = self.optimizer.param_groups[0]["lr"], len(self.plan(rollout.scores_B, epoch=0))
        return figures_of(rollout, self.state.passes, minibatches=minibatches) | {"learning_rate": rate}

    def is_far(self) -> bool:
        """The last rollouts were all far beyond the target: going on would please the reward model and nobody else."""
        target = self.recipe.target_kl
        kls = [figures["kl"] for figures in self.state.history]
        finding = None if target is None else far_from_reference(kls, target=target)
        if finding is not None and not self.ended_early:
            self.ended_early = True
            self.context.tell(finding)
        return finding is not None

    @property
    def most_minibatches(self) -> int:
        """Of the passes over a rollout."""
        return self.recipe.epochs * self.recipe.batch_size // self.recipe.minibatch_size

    def keep(self) -> None:
        """A checkpoint of this very moment. Its number grows with every minibatch, in the middle of passes too."""
        refuse_poisoned(self.actor.policy, step=self.state.number)
        state = self.state
        with self.context.timed("checkpoints"):
            checkpoints.publish(
                self.context.checkpoints,
                state.number * (self.most_minibatches + 1)
                + state.passes.done,  # a finished rollout: one above its last
                lambda folder: online_state.write(folder, state, actor=self.actor, optimizer=self.optimizer),
            )

    def tell_progress(self) -> None:
        size = self.recipe.batch_size
        self.context.progress("training", self.state.number * size, self.total * size, unit="episodes")

    def metrics(self) -> dict[str, Any]:
        episodes = self.state.number * self.recipe.batch_size
        figures = self.state.summary(before=self.before, last=self.last)
        return {"episodes": episodes, "ended_early": self.ended_early, **figures}
