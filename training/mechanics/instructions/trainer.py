"""TRL's SFTTrainer as a run of ours: rows drawn as a mixture asks, held-out loss by dataset, what is forgotten meanwhile.

`batch_size` counts conversations, packed or not: packing changes the time a step takes, and not the number of steps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from trl import SFTTrainer  # type: ignore[attr-defined]  # exported lazily

from training.context import RunContext
from training.mechanics import checkpoints
from training.mechanics.instructions.mixture import MixedRows
from training.mechanics.instructions.packs import as_dataset, with_round_length
from training.mechanics.instructions.talks import IGNORED, Example
from training.mechanics.randomness import kept_randomness
from training.mechanics.trainers.base import RunTrainer
from training.mechanics.trainers.head import add_compact_head
from training.mechanics.trainers.room import cut_rows, texts_in
from training.mechanics.trainers.samples import Show
from training.recipes.sft import SftRecipe

BEFORE = {"loss": "eval_loss", "general_loss": "eval_general_loss"}
"""What is told of the model before its first step, and the curve that it is the first point of."""


class SftRun(RunTrainer, SFTTrainer):
    """`names` are the datasets', by number; `mixed` draws rows where there are several, `general` is read beside."""

    evaluates_all_first = True

    def __init__(
        self,
        *args: Any,
        recipe: SftRecipe,
        context: RunContext,
        show: Show,
        names: list[str],
        mixed: MixedRows | None = None,
        general: list[Example] | None = None,
        **kwargs: Any,
    ) -> None:
        self.names, self.mixed, self.general = names, mixed, general
        self.nll: Counter[int] = Counter()
        self.num_labels: Counter[int] = Counter()
        self.before: dict[str, float] = {}
        super().__init__(*args, context=context, show=show, **kwargs)
        model = self.accelerator.unwrap_model(self.model)
        add_compact_head(model.get_base_model() if hasattr(model, "peft_config") else model, statistics=True)
        if self.all_held_out is not None:
            most = max(64, recipe.batch_size * recipe.eval_every)  # a third of what is trained between two evaluations
            self.eval_dataset = some_of_each(self.all_held_out, most=most)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Any:
        return self.mixed or super()._get_train_sampler(train_dataset)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if not self.model.training:
            return self.held_out_loss(model, inputs)
        inputs.pop("part")
        seen, is_blank = self._total_train_tokens, not (inputs["labels"] != IGNORED).any()
        tokens = inputs["input_ids"].numel() if "position_ids" in inputs else int(inputs["attention_mask"].sum())
        inputs = with_round_length(inputs, pad_token_id=self.processing_class.pad_token_id)
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        # TRL counts a packed batch as the one sequence that it would have made of it.
        self._total_train_tokens = seen + int(self.ranks.total(0 if is_blank else tokens))
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return loss

    # Memory

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        # Of the whole batch, whatever part of it is read: what is then summed is a mean over all.
        count = num_labels(inputs) if num_items_in_batch is None else num_items_in_batch
        return super().training_step(model, inputs, count)

    def cut_batch(self, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return cut_rows(inputs, self.room.parts)

    def longest_rows(self) -> Sequence[int]:
        """As many of the longest rows as a batch has: packs are all about as long as a row may be."""
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        longest = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
        return longest[: self.args.per_device_train_batch_size]

    # Held-out conversations

    def held_out_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Read dataset by dataset: a batch where one ends and the next begins is read twice, in halves."""

        def read() -> list[tuple[int, Any, Tensor]]:
            return [found for some in self.cut_batch(inputs) for found in self.read_held_out(model, some)]

        found = self.room.fit(read, texts_in(inputs), undo=self.undoing(model))
        for part, nll, labels in found:
            self.nll[part] += nll.item()
            self.num_labels[part] += int(labels)
        nlls, labels = (torch.stack(values).sum() for values in list(zip(*found, strict=True))[1:])
        return nlls / labels.clamp(min=1)

    def read_held_out(self, model: nn.Module, inputs: dict[str, Any]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The number of each dataset in the batch, with its nats and how many tokens they are of."""
        part_B = inputs["part"]
        for part in part_B.unique().tolist():
            some = {name: values[part_B == part] for name, values in inputs.items() if name != "part"}
            labels = num_labels(some)
            loss = super().compute_loss(model, some)  # type: ignore[no-untyped-call]
            yield part, loss * labels, labels

    def begin_held_out(self) -> None:
        self.nll.clear()
        self.num_labels.clear()

    def held_out(self) -> dict[str, float]:
        """`loss` in nats a token of the assistant's; the bytes are those of her words, the nats also of their ends."""
        assert self.eval_dataset is not None
        nll = self.nll.total()
        found = {
            "loss": nll / self.num_labels.total(),
            "bits_per_byte": nll / math.log(2) / max(sum(self.eval_dataset["num_bytes"]), 1),
            "n": len(self.eval_dataset),
        }
        if len(self.names) > 1:
            found |= {f"loss/{self.names[part]}": self.nll[part] / self.num_labels[part] for part in sorted(self.nll)}
        if self.general:
            found["general_loss"] = self.general_loss(self.general)
        return found

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Before the first step all rows are read, so that before and after are figures of the same ones."""
        if self.state.global_step > 0 or self.all_held_out is None:
            return super().evaluate(*args, **kwargs)
        some, self.eval_dataset = self.eval_dataset, self.all_held_out
        try:
            metrics = super().evaluate(*args, **kwargs)
        finally:
            self.eval_dataset = some
        self.before = {name: metrics[f"eval_{name}"] for name in BEFORE if f"eval_{name}" in metrics}
        return metrics

    @torch.no_grad()
    def general_loss(self, texts: list[Example]) -> float:
        """In nats a token, of a corpus that is nobody's instructions."""
        was_training = self.model.training
        self.model.eval()
        rows, size = list(as_dataset(texts)), self.args.per_device_eval_batch_size
        nll, count = 0.0, 0
        for start in range(0, len(rows), size):
            batch: Any = self._prepare_inputs(self.data_collator(rows[start : start + size]))
            nll += sum(self.room.fit(partial(self.read_general, batch), texts_in(batch), undo=lambda: None))
            count += int(num_labels(batch))
        self.model.train(was_training)
        return nll / count

    def read_general(self, batch: dict[str, Any]) -> list[float]:
        """In nats, part by part."""
        found = []
        for some in self.cut_batch(batch):
            with self.compute_loss_context_manager():
                read = self.model(
                    **{name: some[name] for name in some if name != "part"}, use_cache=False, fused_lm_head=True
                )
            found.append(-read.log_probs.sum().item())
        return found

    # Before and after

    def train_to_the_end(self) -> None:
        is_fresh = checkpoints.newest(self.context.checkpoints) is None
        if self.general and self.all_held_out is None and is_fresh:
            self.before = {"general_loss": self.tell_general()}
        super().train_to_the_end()

    def tell_general(self) -> float:
        """Where no evaluation would tell it."""
        assert self.general is not None
        with kept_randomness():
            loss = self.general_loss(self.general)
        self.context.metric(self.state.global_step, eval_general_loss=loss)
        return loss

    def own_state(self) -> dict[str, Any]:
        return {**super().own_state(), "before": self.before}

    def load_own_state(self, state: dict[str, Any]) -> None:
        super().load_own_state(state)
        self.before = state["before"]

    def end_metrics(self) -> dict[str, Any]:
        """Also `completion_loss_change`, a share of what the loss was before, and `forgotten` in nats a token."""
        found = super().end_metrics()
        if self.general and self.all_held_out is None:
            found["eval_general_loss"] = self.tell_general()
        found |= {f"{BEFORE[name]}_before": value for name, value in self.before.items()}
        if "loss" in self.before:
            found["completion_loss_change"] = found["eval_loss"] / self.before["loss"] - 1
        if "general_loss" in self.before:
            found["forgotten"] = found["eval_general_loss"] - self.before["general_loss"]
        if self.mixed:
            found |= {f"learned/{name}": count for name, count in self.mixed.seen(self.rows_drawn()).items()}
        return found

    def rows_drawn(self) -> int:
        """By the steps that were trained: an epoch's last batch is what is left of it."""
        size: int = self.args.per_device_train_batch_size
        rows = len(self.train_dataset)
        epochs, steps = divmod(int(self.state.global_step), math.ceil(rows / size))
        return epochs * rows + min(steps * size, rows)


def num_labels(batch: dict[str, Any]) -> Tensor:
    count: Tensor = (batch["labels"][:, 1:] != IGNORED).sum()
    return count


def some_of_each(rows: Dataset, *, most: int) -> Dataset:
    """The first of each dataset, alike many where they have as many: at most so many in all."""
    if len(rows) <= most:
        return rows
    parts: dict[int, list[int]] = {}
    for row, part in enumerate(rows["part"]):
        parts.setdefault(part, []).append(row)
    return rows.select([row for held in parts.values() for row in held[: max(1, most // len(parts))]])
