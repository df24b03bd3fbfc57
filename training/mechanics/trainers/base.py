"""What turns a trainer of transformers or TRL into one of our runs: atomic checkpoints, events, stopping, refusals.

What we change, and why:

- A checkpoint of `transformers.Trainer` is written in place; a kill at the wrong moment leaves half of one, which the
  next start then takes. Here it is staged, hashed and renamed by `training.mechanics.checkpoints`, and a resumed run
  takes the newest whose every file still has its hash. `optimizer.pt`, `scheduler.pt` and `rng_state.pth` are torch
  archives; they exist inside such a folder alone, are read with `weights_only=True`, and never leave it.
- A missing optimizer or random state resumes in silence and trains something else; here it is refused.
- A loss that is not finite is averaged away by default; here it ends the run, before a checkpoint can take it in.
- Evaluation leaves the random state as it found it: a run that was stopped before an evaluation and resumed after it
  is the run that was never stopped.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import disable_progress_bars
from transformers import IntervalStrategy, PrinterCallback
from transformers.utils import logging as transformers_logging

from training.context import RunContext, Stopped
from training.mechanics import checkpoints
from training.mechanics.estimate.steps import ProbedSteps
from training.mechanics.generation import sampling
from training.mechanics.memory import Room
from training.mechanics.randomness import kept_randomness
from training.mechanics.trainers.refusals import OWN_STATE, not_finite, refuse_incomplete, refuse_poisoned
from training.mechanics.trainers.reporter import Reporter, StopNow, drawn
from training.mechanics.trainers.room import InRoom
from training.mechanics.trainers.samples import Show
from training.mechanics.trainers.together import Together

if TYPE_CHECKING:
    from torch import Tensor, nn

    from training.mechanics.trainers.pairs import GroupBatches


class RunTrainer(InRoom, Together):
    """Mixed in before a trainer of TRL: `class Dpo(RunTrainer, DPOTrainer)`.

    A method overrides `held_out` (numbers over the whole held-out split), `begin_held_out` and `check_first_loss`,
    and calls `train_to_the_end`.
    """

    context: RunContext
    show: Show
    # What is read of the trainer behind this mixin, where it is set by then; its own types say that each may be missing.
    model: Any
    args: Any
    processing_class: Any
    train_dataset: Any
    eval_dataset: Any
    data_collator: Any
    all_held_out: Any = None
    """The whole held-out split; `eval_dataset` is the part of it that is evaluated while training."""
    evaluates_all_first = False
    """Whether the evaluation before the first step reads the whole held-out split."""
    ended_rate: float | None = None
    """The share of the last samples that ended by themselves."""

    batches: GroupBatches
    """Which rows are a batch, where they are told and not drawn."""

    def __init__(self, *args: Any, context: RunContext, show: Show, **kwargs: Any) -> None:
        # Before the trainer's own `__init__`, which prepares the data and may need them.
        self.context = context
        self.show = show
        self.room = Room(context, kwargs["processing_class"])
        self._evaluated: tuple[int, int, dict[str, float]] | None = None  # step, rows, metrics
        transformers_logging.disable_progress_bar()
        disable_progress_bars()
        self.reporter = Reporter(context)
        super().__init__(*args, **{**kwargs, "callbacks": [self.reporter]})
        self.remove_callback(PrinterCallback)  # the events say it
        if not self.eval_dataset:
            context.warn("no_held_out", "There is no held-out row: nothing will tell how well this model generalises.")
            self.eval_dataset = None
            self.args.eval_strategy = IntervalStrategy.NO
            self.args.eval_on_start = False
        self.all_held_out = self.eval_dataset

    # What a method may add

    def begin_held_out(self) -> None:
        """An evaluation of the held-out split begins."""

    def held_out(self) -> dict[str, float]:
        """Numbers over all held-out rows, that a mean over batches would get wrong; logged with TRL's, as `eval_*`."""
        return {}

    def check_first_loss(self, loss: float) -> None:
        """Raises `Failure` where the loss before any training is not what it must be."""

    def own_state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside transformers' state: the method's own counters."""
        return {"num_tokens": self._total_train_tokens, "room": self.room.state()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        self._total_train_tokens = state["num_tokens"]
        self.room.load(state["room"])

    # Start and end

    def train_to_the_end(self) -> None:
        """Trains from the newest good checkpoint, if there is one. Raises `Stopped` where it stopped short."""
        if self.context.agree_to_stop():
            raise Stopped
        newest = checkpoints.newest(self.context.checkpoints)
        if newest is not None:
            refuse_incomplete(newest)
            self.load_own_state(json.loads((newest / OWN_STATE).read_text()))
            self.context.log(f"Resuming from {newest.name}.")
        if self.context.probe is not None:
            self.reporter.probed = ProbedSteps(self.context.probe, self)
        self.train(resume_from_checkpoint=str(newest) if newest else None)
        # The trainer returns in the same way from a stop as from the end.
        if self.context.stop_requested or self.reporter.probed is None:
            if self.state.global_step < self.state.max_steps:
                raise Stopped
        else:
            self.reporter.probed.leave()
        refuse_poisoned(self.model, step=self.state.global_step)

    # Checkpoints

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        refuse_poisoned(self.model, step=self.state.global_step)
        self.store_flos()
        self.gather_whole()
        with self.context.timed("checkpoints"):
            if self.ranks.is_first:
                checkpoints.publish(self.context.checkpoints, self.state.global_step, self.write_checkpoint, keep=2)
        self.ranks.wait()
        if self.eval_dataset is None and not self.context.stop_requested:
            with kept_randomness():
                self.show_samples()

    def write_checkpoint(self, folder: Path) -> None:
        """Everything that `_load_from_checkpoint` and its siblings of transformers read, into a staged folder."""
        self.write_model(folder)
        self._save_rng_state(str(folder))
        self.state.save_to_json(str(folder / "trainer_state.json"))
        (folder / OWN_STATE).write_text(json.dumps(self.own_state()))

    # Refusals

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        parts = self.room.parts
        if self.reporter.probed is not None:
            self.reporter.probed.read(inputs)
        self.draw_anew()
        loss = self.step_in_room(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise not_finite("The loss", self.state.global_step + 1)
        # What had to be cut in this very step was not yet when the reference was asked: in bfloat16 that is not the same.
        if self.state.global_step == 0 and not (self.args.bf16 and self.room.parts > parts):
            self.check_first_loss(loss.item())
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        # Called between the backward pass and the optimizer's step: the last moment at which the weights are good.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if not math.isfinite(float(norm)):
            raise not_finite("The norm of the gradient", self.state.global_step + 1)
        return norm

    # Evaluation

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        self.begin_held_out()
        try:
            with kept_randomness():
                with self.context.timed("evaluation", units=len(self.eval_dataset)):
                    metrics: dict[str, float] = super().evaluate(*args, **kwargs)
                self.show_samples()
        except (StopNow, Stopped):  # the latter from sampling
            if self.is_in_train and self.state.global_step > 0:
                self._save_checkpoint(self.model, None)
            raise Stopped from None
        self._evaluated = self.state.global_step, len(self.eval_dataset), metrics
        return metrics

    def evaluate_all(self) -> dict[str, float]:
        """Evaluates the whole held-out split, unless the last step of training has just done so."""
        self.eval_dataset = self.all_held_out
        if self._evaluated and not self.needs_evaluation():
            return drawn(self._evaluated[2])
        return drawn(self.evaluate())

    def needs_evaluation(self) -> bool:
        """Whether nobody has evaluated the whole held-out split as the model is now."""
        return not self._evaluated or self._evaluated[:2] != (self.state.global_step, len(self.all_held_out))

    def end_metrics(self) -> dict[str, Any]:
        """Of the whole held-out split, and of the last samples: where nothing is held out they are drawn now."""
        found: dict[str, Any] = {}
        if self.all_held_out:
            found = self.evaluate_all()
        else:
            self.show_samples()
        return found if self.ended_rate is None else {**found, "ended_rate": self.ended_rate}

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        output: Any = super().evaluation_loop(*args, **{**kwargs, "metric_key_prefix": metric_key_prefix})
        with self.context.timed("figures"):
            output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in self.held_out().items()})
        return output

    def show_samples(self) -> None:
        """Answers the held-out prompts, always with the same seeds: what changes from step to step is the model."""
        if not self.show:
            return
        self.context.progress("samples", 0, len(self.show.prompts), unit="samples")
        count = len(self.show.prompts)
        with self.context.timed("samples"):
            answers = sampling.sample(
                self.accelerator.unwrap_model(self.model),
                self.processing_class,
                self.show.prompts,
                seeds=list(range(count)),
                temperatures=[self.show.temperature] * count,
                top_p=1.0,
                max_new_tokens=self.show.max_new_tokens,
                batch_size=count,
                stop_requested=lambda: self.context.stop_requested,
                room=self.room,
            )
        step = self.state.global_step
        for prompt, answer in zip(self.show.texts, answers, strict=True):
            self.context.sample(step, prompt=prompt, text=answer.text, ended=answer.ended)
        self.ended_rate = sum(answer.ended for answer in answers) / count
        self.context.metric(step, eval_ended=self.ended_rate)
