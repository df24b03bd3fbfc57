"""The trainer of task models: transformers' own, on examples of labelled texts, with decisions on whole held-out texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from training.mechanics.tasks.deciding import Decision, decide
from training.mechanics.tasks.figures import figures_of
from training.mechanics.tasks.reading import IGNORED, Example, Reader, Said
from training.mechanics.tasks.rows import Row
from training.mechanics.trainers.base import RunTrainer
from training.mechanics.trainers.pairs import GroupBatches
from training.mechanics.trainers.room import cut_rows, texts_in
from training.recipes.finetune import FinetuneRecipe

DRAWN = ("score", "accuracy", "f1", "f1_macro", "precision", "recall", "exact_match", "ece")
FEWEST_HELD_OUT = 64


class FinetuneRun(RunTrainer, Trainer):
    """`class_weights`: of each label in the loss."""

    train_dataset: list[Example]
    eval_dataset: list[Example] | None

    def __init__(
        self, *args: Any, recipe: FinetuneRecipe, reader: Reader, held_out_rows: Sequence[Row],
        class_weights: Tensor | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.reader = reader
        self.held_out_rows = held_out_rows
        self.class_weights = class_weights
        self.num_tokens = 0
        self.said: list[Said] = []
        self.nats = 0.0
        self.num_labels = 0
        super().__init__(*args, **kwargs)
        if self.all_held_out is not None:
            # As many texts as are trained on between two evaluations: they cost a third of it.
            most = max(FEWEST_HELD_OUT, recipe.batch_size * recipe.eval_every)
            self.eval_dataset = [example for example in self.all_held_out if example.window.row < most]
        self.batches = GroupBatches(
            [str(number) for number in range(len(self.train_dataset))],
            [len(example.window.input_ids) for example in self.train_dataset],
            batch_size=self.args.per_device_train_batch_size,
            seed=self.args.seed,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupBatches:
        return self.batches

    def own_state(self) -> dict[str, Any]:
        return {"num_tokens": self.num_tokens, "room": self.room.state()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        self.num_tokens = state["num_tokens"]
        self.room.load(state["room"])

    # Loss

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        scores = self.reader.scores(model, inputs)
        weights = self.weights_of_labels() if model.training else None
        loss = self.reader.loss(scores, inputs["labels"], weights_L=weights)
        if model.training:
            share = inputs.get("share", 1.0)
            # Without a label there is no mean, but the other processes wait for gradients of zero.
            loss = loss * share if share else scores.sum() * 0.0
            self.num_tokens += int(self.ranks.total(float(inputs["attention_mask"].sum()) if share else 0.0))
        return (loss, {"scores": scores}) if return_outputs else loss

    def weights_of_labels(self) -> Tensor | None:
        return None if self.class_weights is None else self.class_weights.to(self.accelerator.device)

    def cut_batch(self, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """`share` of a part is what its mean counts in the mean over all that all processes read."""
        if not self.model.training or (self.room.parts == 1 and self.ranks.world == 1):
            yield from cut_rows(inputs, self.room.parts)
            return
        # Gradients are means over processes.
        total = self.ranks.total(self.total_of(inputs)) / self.ranks.world
        for part in cut_rows(inputs, self.room.parts):
            share = self.total_of(part) / total
            if share > 0 or self.ranks.world > 1:
                yield {**part, "share": share}

    def total_of(self, inputs: dict[str, Any]) -> float:
        labels = inputs["labels"].to(self.accelerator.device)
        return self.reader.total(labels, weights_L=self.weights_of_labels()).item()

    def blank(self, row: Example) -> Example:
        return replace(row, labels=(IGNORED,) * len(row.labels))

    # Evaluation

    def begin_held_out(self) -> None:
        self.said, self.nats, self.num_labels = [], 0.0, 0

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        assert self.eval_dataset is not None
        batch: Any = self._prepare_inputs(inputs)

        def read() -> Tensor:
            return torch.cat([self.reader.scores(model, part) for part in self.cut_batch(batch)])

        with torch.no_grad(), self.compute_loss_context_manager():
            scores = self.room.fit(read, texts_in(batch), undo=lambda: None)
            loss = self.reader.loss(scores, batch["labels"])
        done = len(self.said)
        self.said += self.reader.say(scores, self.eval_dataset[done : done + len(batch["labels"])])
        count = int((batch["labels"] != IGNORED).sum())
        if count:
            self.nats += loss.item() * count
            self.num_labels += count
        return (loss if count else None), None, None

    def decisions(self) -> tuple[Sequence[Row], list[Decision]]:
        """On the held-out texts that were last evaluated."""
        assert self.eval_dataset is not None
        rows = self.held_out_rows[: self.eval_dataset[-1].window.row + 1]
        return rows, decide(rows, self.eval_dataset, self.said, rule=self.reader.rule)

    def held_out(self) -> dict[str, float]:
        found = figures_of(self.reader.rule.task, *self.decisions(), seed=self.recipe.seed)
        told = {name: found[name] for name in DRAWN if name in found}
        return {"loss": self.nats / max(self.num_labels, 1), **told}
