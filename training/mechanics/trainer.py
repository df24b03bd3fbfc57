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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import disable_progress_bars
from transformers import (
    IntervalStrategy,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging as transformers_logging

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import checkpoints, randomness, sampling

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    Base = Trainer
else:
    Base = object  # mixed into a trainer of TRL, which comes behind it in the order of methods

MOST_POINTS = 2000  # of a curve: a longer run logs every so many steps
NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
OWN_STATE = "method_state.json"
# Of the speed of one process, not of the model: they would be drawn as curves of one point.
UNDRAWN = ("epoch", "total_flos", "train_", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second",
           "eval_model_preparation_time")  # fmt: skip


class StopNow(Exception):
    """A stop was asked for in the middle of an evaluation."""


@dataclass(frozen=True, slots=True)
class Show:
    """The held-out prompts (token ids, and the words shown for them) that are answered at each evaluation."""

    prompts: list[list[int]]
    texts: list[str]
    max_new_tokens: int
    temperature: float = 0.8

    def __bool__(self) -> bool:
        return bool(self.prompts) and self.max_new_tokens > 0


def settings(
    context: RunContext,
    *,
    rows: int,
    batch_size: int,
    epochs: float,
    every: int,
    learning_rate: float,
    bf16: bool,
    seed: int,
    evaluated: bool,
) -> dict[str, Any]:
    """What every trainer of ours is told, as keywords of a `TrainingArguments`: `rows` train, `every` steps evaluate."""
    cuda = torch.cuda.is_available()
    steps = math.ceil(rows / batch_size * epochs)
    return {
        "output_dir": str(context.checkpoints),
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": batch_size,
        "num_train_epochs": epochs,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,  # a share
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": seed,
        "use_cpu": not cuda,
        "bf16": bf16,
        "activation_checkpointing": cuda,  # memory for time: on a CPU there is memory
        "eval_strategy": "steps" if evaluated else "no",
        "eval_on_start": evaluated and checkpoints.newest(context.checkpoints) is None,
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "logging_strategy": "steps",
        "logging_steps": max(1, math.ceil(steps / MOST_POINTS)),
        "logging_nan_inf_filter": False,
        "dataloader_num_workers": 0,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }


class Reporter(TrainerCallback):
    """Tells the run's events what the trainer tells, and carries a request to stop into its control flow."""

    def __init__(self, context: RunContext) -> None:
        self.context = context

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.context.progress("training", state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.context.progress("training", state.global_step, state.max_steps)
        if self.context.stop_requested and state.global_step < state.max_steps:
            control.should_save = True
            control.should_evaluate = False  # whoever stops us waits for the checkpoint alone
            control.should_training_stop = True

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.context.stop_requested:
            raise StopNow

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        values = drawn(logs or {})
        for name, value in values.items():
            if not math.isfinite(value):
                raise not_finite(name, state.global_step)
        if values:
            self.context.metric(state.global_step, **values)


def drawn(logs: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in logs.items() if not name.startswith(UNDRAWN)}


def not_finite(what: str, step: int) -> Failure:
    return Failure(
        "not_finite",
        f"{what} was not finite at step {step}; the last good checkpoint was kept.",
        advice="Lower the learning rate, or look for a broken row among the data.",
    )


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Whatever is drawn inside leaves no trace outside."""
    before = randomness.capture()
    try:
        yield
    finally:
        randomness.restore(before)


class RunTrainer(Base):
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
    ended_rate: float | None = None
    """The share of the last samples that ended by themselves."""

    def __init__(self, *args: Any, context: RunContext, show: Show, **kwargs: Any) -> None:
        # Before the trainer's own `__init__`, which prepares the data and may need them.
        self.context = context
        self.show = show
        self._evaluated: tuple[int, int, dict[str, float]] | None = None  # step, rows, metrics
        transformers_logging.disable_progress_bar()
        disable_progress_bars()
        super().__init__(*args, **{**kwargs, "callbacks": [Reporter(context)]})
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
        return {"num_tokens": self._total_train_tokens}

    def load_own_state(self, state: dict[str, Any]) -> None:
        self._total_train_tokens = state["num_tokens"]

    # Start and end

    def train_to_the_end(self) -> None:
        """Trains from the newest good checkpoint, if there is one. Raises `Stopped` where it stopped short."""
        if self.context.stop_requested:
            raise Stopped
        newest = checkpoints.newest(self.context.checkpoints)
        if newest is not None:
            refuse_incomplete(newest)
            self.load_own_state(json.loads((newest / OWN_STATE).read_text()))
            self.context.log(f"Resuming from {newest.name}.")
        self.train(resume_from_checkpoint=str(newest) if newest else None)
        # The trainer returns in the same way from a stop as from the end.
        if self.state.global_step < self.state.max_steps:
            raise Stopped
        refuse_poisoned(self.model, step=self.state.global_step)

    # Checkpoints

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        refuse_poisoned(self.model, step=self.state.global_step)
        self.store_flos()
        checkpoints.publish(self.context.checkpoints, self.state.global_step, self.write_checkpoint, keep=2)
        if self.eval_dataset is None and not self.context.stop_requested:
            with kept_randomness():
                self.show_samples()

    def write_checkpoint(self, folder: Path) -> None:
        """Everything that `_load_from_checkpoint` and its siblings of transformers read, into a staged folder."""
        self.save_model(str(folder), _internal_call=True)
        (folder / "training_args.bin").unlink()  # a pickle that nobody reads: the recipe says it all
        self._save_optimizer_and_scheduler(str(folder))
        self._save_rng_state(str(folder))
        self.state.save_to_json(str(folder / "trainer_state.json"))
        (folder / OWN_STATE).write_text(json.dumps(self.own_state()))

    # Refusals

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise not_finite("The loss", self.state.global_step + 1)
        if self.state.global_step == 0:
            self.check_first_loss(loss.item())
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        # Called between the backward pass and the optimizer's step: the last moment at which the weights are good.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        if not math.isfinite(float(norm)):
            raise not_finite("The norm of the gradient", self.state.global_step + 1)
        return norm

    # Evaluation

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        self.begin_held_out()
        try:
            with kept_randomness():
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
        if self._evaluated and self._evaluated[:2] == (self.state.global_step, len(self.eval_dataset)):
            return drawn(self._evaluated[2])
        return drawn(self.evaluate())

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        output: Any = super().evaluation_loop(*args, **{**kwargs, "metric_key_prefix": metric_key_prefix})
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in self.held_out().items()})
        return output

    def show_samples(self) -> None:
        """Answers the held-out prompts, always with the same seeds: what changes from step to step is the model."""
        if not self.show:
            return
        self.context.progress("samples", 0, len(self.show.prompts), unit="samples")
        count = len(self.show.prompts)
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
        )
        step = self.state.global_step
        for prompt, answer in zip(self.show.texts, answers, strict=True):
            self.context.sample(step, prompt=prompt, text=answer.text, ended=answer.ended)
        self.ended_rate = sum(answer.ended for answer in answers) / count
        self.context.metric(step, eval_ended=self.ended_rate)


def refuse_incomplete(folder: Path) -> None:
    """Raises `Failure("checkpoint_incomplete")`: transformers would go on without what is missing, with other results."""
    missing = [name for name in (*NEEDED, OWN_STATE) if not (folder / name).is_file()]
    if not list(folder.glob("rng_state*.pth")):
        missing.append("rng_state.pth")
    if missing:
        raise Failure(
            "checkpoint_incomplete",
            f"{folder.name} lacks {', '.join(missing)}; resuming from it would train something else.",
            advice="Delete that checkpoint's folder: the run then resumes from the one before, or from the start.",
        )


def refuse_poisoned(model: nn.Module, *, step: int) -> None:
    """Raises `Failure("not_finite")` for a weight that training made infinite or NaN."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and not torch.isfinite(weight).all():
            raise not_finite(f"The weight {name}", step)


def pick_show(
    conversations: list[list[dict[str, str]]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    render: Any,
    count: int,
    max_length: int,
    max_new_tokens: int,
) -> Show:
    """The first `count` distinct prompts below `max_length` tokens; what is shown for one is its last turn."""
    prompts: list[list[int]] = []
    texts: list[str] = []
    for messages in conversations:
        ids = list(render(tokenizer, messages))
        if ids not in prompts and len(ids) < max_length:
            prompts.append(ids)
            texts.append(messages[-1]["content"])
        if len(prompts) == count:
            break
    return Show(prompts, texts, max_new_tokens)
