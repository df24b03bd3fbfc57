"""A trainer's step where a batch does not fit into memory: in parts, the longest batch tried first (`mechanics.memory`).

Two kinds of batches are cut. Where the loss is one of comparisons, texts stand in a batch as its `source`, and only their
reading is cut (`read_in_parts`). Where the loss is a sum over rows, the batch is: each part takes its share of the step, and
gradients add up to those of the whole (`cut_batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from transformers import Trainer

from training.context import RunContext
from training.mechanics import memory
from training.mechanics.memory import Room, in_parts
from training.mechanics.randomness import kept_randomness
from training.mechanics.shared_attention import Block, Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

    Base = Trainer
else:
    Base = object

T = TypeVar("T")


class InRoom(Base):
    """Part of `trainers.base.RunTrainer`."""

    context: RunContext
    room: Room
    data_collator: Any
    train_dataset: Any
    args: Any
    _metrics: Any  # of TRL's trainers
    _has_tried_longest = False

    if TYPE_CHECKING:  # `RunTrainer`'s

        def own_state(self) -> dict[str, Any]: ...

        def load_own_state(self, state: dict[str, Any]) -> None: ...

    # What a method may add

    def longest_rows(self) -> Sequence[int]:
        """The rows of the training batch that takes most memory."""
        batches: Any = self.batches  # type: ignore[attr-defined]  # a `GroupBatches`, of all trainers that draw so
        found: list[int] = batches.longest
        return found

    def read_alone(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """What the loss is taken of, for the way back alone: the loss itself, where there is nothing less to read."""
        loss: Any = self.compute_loss(model, inputs)
        found: Tensor = loss
        return found

    def cut_batch(self, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """In the room's parts, whose losses add up to the loss of all; a batch with a `source` is cut where it is read."""
        yield inputs

    # A step

    def step_in_room(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any) -> Tensor:
        """Raises `Failure("out_of_memory")`."""
        model.train()  # as the step will, which may come behind an evaluation: what is cut and undone turns on it
        self.try_longest(model)
        take = partial(super().training_step, model)

        def step() -> Tensor:
            return torch.stack([take(part, num_items_in_batch) for part in self.cut_batch(inputs)]).sum()

        return self.room.fit(step, texts_in(inputs), undo=self.undoing(model))

    def undoing(self, model: nn.Module) -> Callable[[], None]:
        """What takes back a step that was begun from here."""
        before, mode = self.own_state(), "train" if model.training else "eval"
        metrics = self._metrics[mode] if hasattr(self, "_metrics") else {}
        told = {name: len(values) for name, values in metrics.items()}

        def undo() -> None:
            model.zero_grad(set_to_none=True)  # no gradients are accumulated over steps
            self.load_own_state(before | {"room": self.room.state()})
            for name, values in metrics.items():
                del values[told.get(name, 0) :]

        return undo

    def try_longest(self, model: nn.Module) -> None:
        """Once an attempt; see `Room.try_longest`."""
        if self._has_tried_longest or not (memory.is_scarce() or self.context.probe):
            return
        self._has_tried_longest = True
        batch: Any = self._prepare_inputs(self.data_collator([self.train_dataset[row] for row in self.longest_rows()]))
        was_training = model.training
        model.train()
        if self.args.activation_checkpointing:  # as training will switch it on
            self.accelerator.unwrap_model(model).activation_checkpointing_enable()
        undo = self.undoing(model)

        def read() -> None:
            try:
                for part in self.cut_batch(batch):
                    with self.accelerator.autocast():
                        found = self.read_alone(model, dict(part))
                    found.float().sum().backward()
            finally:
                undo()

        with kept_randomness(), self.tried_longest():
            self.room.try_longest(read, texts_in(batch))
        model.train(was_training)

    def tried_longest(self) -> AbstractContextManager[None]:
        """An estimate has it tried for the memory that it takes, where the run would not."""
        probe = self.context.probe
        return nullcontext() if probe is None or memory.is_scarce() else probe.not_counted()

    def read_in_parts(self, read: Callable[[dict[str, Any]], T], batch: dict[str, Any]) -> list[T]:
        """In the room's parts; of an evaluation, whose forward pass is all there is, in as many as it takes."""

        def reading() -> list[T]:
            if self.room.parts == 1:
                return [read(batch)]
            texts, reader = batch["source"].texts, self.data_collator.reader
            return list(in_parts(read, texts, parts=self.room.parts, reader=reader, device=self.accelerator.device))

        if torch.is_grad_enabled():
            return reading()
        return self.room.fit(reading, texts_in(batch), undo=lambda: None)


# Batches of rows


def texts_in(batch: dict[str, Any]) -> list[Sequence[int]]:
    """Token ids of what is never cut in two: a text, a conversation, a row."""
    if "source" in batch:
        return [text.ids for text in batch["source"].texts]
    ids_BT = batch["input_ids"]
    if "layout" in batch:
        return [ids_BT[0, start:end].tolist() for start, end in spans_of(batch["layout"])]
    if "attention_mask" not in batch:
        return [row.tolist() for row in ids_BT]
    return [row[mask.bool()].tolist() for row, mask in zip(ids_BT, batch["attention_mask"], strict=True)]


def cut_rows(batch: dict[str, Any], parts: int) -> Iterator[dict[str, Any]]:
    """Of a batch of rows, or of conversations that stand in one row: so many batches of whole ones, in their order."""
    if parts == 1:
        yield batch
    elif "layout" not in batch:
        for some in memory.cut(range(len(batch["input_ids"])), parts):
            yield {name: values[some[0] : some[-1] + 1] for name, values in batch.items()}
    else:
        for spans in memory.cut(spans_of(batch["layout"]), parts):
            first, last = spans[0][0], spans[-1][1]
            row = {name: batch[name][:, first:last] for name in ("input_ids", "labels", "position_ids")}
            blocks = tuple(Block((start - first, end - first), ()) for start, end in spans)
            yield {**batch, **row, "layout": Layout(blocks)}


def spans_of(layout: Layout) -> list[tuple[int, int]]:
    return [block.beginning for block in layout.blocks]
