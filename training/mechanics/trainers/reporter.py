"""What a trainer says while it works, told as events of the run; and a request to stop, carried into the trainer."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.context import RunContext
from training.mechanics.estimate.steps import ProbedSteps
from training.mechanics.trainers.refusals import not_finite

# Of the speed of one process, not of the model: they would be drawn as curves of one point.
UNDRAWN = ("epoch", "total_flos", "train_", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second",
           "eval_model_preparation_time")  # fmt: skip


class StopNow(Exception):
    """A stop was asked for in the middle of an evaluation."""


class Reporter(TrainerCallback):
    """Tells the run's events what the trainer tells, and carries a request to stop into its control flow."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.probed: ProbedSteps | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.context.progress("training", state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.context.progress("training", state.global_step, state.max_steps)
        if self.probed is not None and self.probed.step_ended():
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False  # the evaluation at the end is timed
        if self.context.agree_to_stop() and state.global_step < state.max_steps:
            control.should_save = True
            control.should_evaluate = False  # whoever stops us waits for the checkpoint alone
            control.should_training_stop = True

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.context.agree_to_stop():
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
