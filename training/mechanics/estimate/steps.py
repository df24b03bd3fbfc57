"""A trainer's steps in a probe: timed by the tokens of their batches, with evaluations, samples and checkpoints on their own.

Batches differ in length and in how much of them is padding, so a step is weighed by the tokens that it reads, and the whole
training by those of the batches to come: as many of them are put together and counted as a second allows.
"""

from __future__ import annotations

import math
import time
from typing import Any

from training.mechanics.estimate.probe import Loop, Probe, Reading
from training.mechanics.randomness import kept_randomness

LOOK_S, MOST_LOOKED_AT = 1.0, 256
EVALUATED = 4  # batches of held-out rows that stand for all


class ProbedSteps:
    """Of a `RunTrainer` that is about to train: leaves it with fewer held-out rows, and with what it needs to be timed."""

    def __init__(self, probe: Probe, trainer: Any) -> None:
        self.probe, self.trainer = probe, trainer
        self.num_evaluated = len(trainer.eval_dataset or ())
        self.num_held_out = len(trainer.all_held_out or ())
        with probe.not_counted():
            self.mean_tokens = mean_tokens(trainer)
        if trainer.all_held_out is not None:
            size = trainer.args.per_device_eval_batch_size
            trainer.eval_dataset = some_batches(trainer.eval_dataset, EVALUATED, size=size)
            trainer.all_held_out = some_batches(trainer.all_held_out, EVALUATED, size=size)
        self.tokens = 0.0
        self.loop: Loop | None = None
        self.mark = Reading()

    def read(self, inputs: dict[str, Any]) -> None:
        """A step begins to read these."""
        if self.loop is None:
            self.loop = self.probe.loop("training", total=0, unit="steps")
            self.mark = self.probe.clock()
        self.tokens += tokens_in(inputs)

    def step_ended(self) -> bool:
        """Whether enough of them were timed."""
        if self.loop is None:
            return False
        now = self.probe.clock()
        self.loop.add(now - self.mark, weight=self.tokens)
        self.mark, self.tokens = now, 0.0
        return self.loop.is_enough()

    def leave(self) -> None:
        """Owes the steps to come, and what the run would do beside them."""
        state, args = self.trainer.state, self.trainer.args
        if self.loop is not None:
            self.loop.leave(total=state.max_steps * self.mean_tokens, units=state.max_steps)
        times = math.ceil(state.max_steps / args.save_steps)
        self.probe.owe("checkpoints", total=times)
        if not self.num_held_out:
            self.probe.owe("samples", total=times)
            return
        has_end = self.num_held_out != self.num_evaluated
        first_rows = self.num_held_out if self.trainer.evaluates_all_first else self.num_evaluated
        rows = first_rows + times * self.num_evaluated + has_end * self.num_held_out
        evaluations = 1 + times + has_end
        # The one behind the last step is the probe's own as well, and still to come.
        to_come = len(self.trainer.all_held_out) if self.trainer.needs_evaluation() else 0
        self.probe.owe("evaluation", total=rows - to_come, unit="rows")
        self.probe.owe("figures", total=evaluations - bool(to_come))
        self.probe.owe("samples", total=evaluations - bool(to_come))


def tokens_in(inputs: dict[str, Any]) -> int:
    return int(inputs["input_ids"].numel())


def mean_tokens(trainer: Any) -> float:
    """Of the batches of an epoch, as far as a second goes."""
    found: list[int] = []
    until = time.monotonic() + LOOK_S
    with kept_randomness():
        for batch in trainer.get_train_dataloader():
            found.append(tokens_in(batch))
            if time.monotonic() > until or len(found) == MOST_LOOKED_AT:
                break
    return sum(found) / max(len(found), 1)


def some_batches(rows: Any, count: int, *, size: int) -> Any:
    """The first of a list, or from all over a table; batches stay whole: comparisons of a prompt cost less together."""
    if len(rows) <= count * size:
        return rows
    if isinstance(rows, list):
        return rows[: count * size]
    begins = [i * (len(rows) // size) // count * size for i in range(count)]
    return rows.select([begin + row for begin in begins for row in range(size)])
