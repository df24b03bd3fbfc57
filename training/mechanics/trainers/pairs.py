"""Comparisons on their way into a trainer: what is left out, which stand together in a batch, each text once in it.

K ranked completions give up to K(K-1)/2 comparisons of the same K texts. TRL reads a text anew for every comparison;
here the comparisons of one prompt stand together (as InstructGPT did: shuffled apart they overfit, Ouyang et al. 2022,
section 3.5), and a batch holds every text once, their common prompt once too (`shared_prefix`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler

from training.context import RunContext
from training.contract import Failure, Input
from training.mechanics import datasets
from training.mechanics.people.soft_labels import are_soft, label_of
from training.mechanics.shared_prefix import Reader, Text, read_together

WINDOW = 8  # batches among which comparisons of similar length are brought together
COLUMNS = ("prompt", "chosen", "rejected", "weight", "margin", "group_id", "rater")


def read_pairs(preferences: Input, *, split: str) -> list[dict[str, Any]]:
    """With a `label` each where any training row has one below 1.

    Raises `Failure("no_rows")` for a training split without a comparison; without a held-out one it is empty.
    """
    told = datasets.read_rows(preferences, split=split)
    rows = [{name: row[name] for name in COLUMNS} for row in told]
    if split == "train" and are_soft(told):
        rows = [{**row, "label": label_of(one)} for row, one in zip(rows, told, strict=True)]
    if split == "train" and not rows:
        raise Failure(
            "no_rows",
            "The dataset has no comparison to train on.",
            advice="Rank a few tasks first; ties give no comparison.",
        )
    return rows


def as_dataset(rows: list[dict[str, Any]]) -> Dataset:
    """Without raters; with soft labels, and the share of flips that `people.flips` gave each comparison, where there are any."""
    names = [*COLUMNS[:-1], *(name for name in ("label_smoothing", "label") if rows and name in rows[0])]
    return Dataset.from_list([{name: row[name] for name in names} for row in rows])


def scale_weights(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Weights with mean 1 over the split: prompts count alike, and the loss keeps the size of an unweighted one."""
    mean = sum(row["weight"] for row in rows) / max(len(rows), 1)
    if mean <= 0:
        raise Failure("no_weight", "No comparison has a weight above 0.", advice="Look at the dataset's weight column.")
    return [{**row, "weight": row["weight"] / mean} for row in rows]


def leave_out_long(
    dataset: Dataset, *, max_length: int, context: RunContext, split: str, what: str = "comparisons"
) -> Dataset:
    """Drops rows with a text longer than `max_length` tokens, and says how many; a cut text would lose its end."""
    keep = [i for i, length in enumerate(lengths_of(dataset)) if length <= max_length]
    dropped = len(dataset) - len(keep)
    if dropped:
        context.warn(
            "left_out_long",
            f"{dropped} of {len(dataset)} {what} ({split}) are longer than {max_length} tokens and were left out.",
        )
    if not keep and split == "train":
        raise Failure(
            "no_rows",
            f"None of the {what} is left: all {len(dataset)} are longer than {max_length} tokens.",
            advice="Raise max_length.",
        )
    return dataset.select(keep)


def lengths_of(dataset: Dataset) -> list[int]:
    """Tokens of the longest text of each row, its prompt included."""
    prompts = dataset["prompt_ids"] if "prompt_ids" in dataset.column_names else [[]] * len(dataset)
    sides = [dataset[name] for name in ("chosen_ids", "rejected_ids", "completion_ids") if name in dataset.column_names]
    return [len(prompt) + max(map(len, texts)) for prompt, *texts in zip(prompts, *sides, strict=True)]


class GroupBatches(Sampler[int]):
    """Row numbers such that every `batch_size` of them are one batch: whole groups, of similar length, in the same
    company each epoch. Only the order of the batches changes from epoch to epoch.
    """

    def __init__(self, groups: Sequence[str], lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        rows_of: dict[str, list[int]] = {}
        for row, group in enumerate(groups):
            rows_of.setdefault(group, []).append(row)
        order = list(rows_of)
        random.Random(f"groups {seed}").shuffle(order)
        rows: list[int] = []
        window: list[str] = []
        for i, group in enumerate(order, start=1):
            window.append(group)
            if i == len(order) or sum(len(rows_of[name]) for name in window) >= WINDOW * batch_size:
                window.sort(key=lambda name: max(lengths[row] for row in rows_of[name]))
                rows += [row for name in window for row in rows_of[name]]
                window = []
        self.batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        self.longest = max(self.batches, key=lambda rows: max(lengths[row] for row in rows) * len(rows), default=[])
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    def __iter__(self) -> Iterator[int]:
        for batch in self.of_epoch(self.epoch):
            yield from batch

    def of_epoch(self, epoch: int) -> list[list[int]]:
        whole = [batch for batch in self.batches if len(batch) == self.batch_size]
        random.Random(f"epoch {self.seed} {epoch}").shuffle(whole)
        # The loader cuts by count: what is no whole batch comes last.
        return whole + [batch for batch in self.batches if len(batch) < self.batch_size]


@dataclass(frozen=True, slots=True)
class PairCollator:
    """A batch of B comparisons as U <= 2B distinct texts (`shared_prefix.read_together`), and which text each side is."""

    reader: Reader

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        number = {text: i for i, text in enumerate(self.texts(rows))}
        # `chosen` stands first: the trainer takes the size of a batch from the first tensor it meets.
        batch = {
            "chosen": torch.tensor([number[text_of(row, "chosen_ids")] for row in rows]),
            "rejected": torch.tensor([number[text_of(row, "rejected_ids")] for row in rows]),
        }
        for name in ("weight", "margin", "ref_chosen_logps", "ref_rejected_logps", "label_smoothing", "label"):
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows], dtype=torch.float32)
        return batch | read_together(list(number), reader=self.reader)

    def readings(self, rows: list[dict[str, Any]]) -> list[list[Text]]:
        """What a batch makes a model read, forward by forward."""
        return [self.texts(rows)]

    def texts(self, rows: list[dict[str, Any]]) -> list[Text]:
        """In the order in which they are read: all chosen ones, then what is only rejected."""
        return list(dict.fromkeys(text_of(row, side) for side in ("chosen_ids", "rejected_ids") for row in rows))


def text_of(row: dict[str, Any], side: str) -> Text:
    """One completion of a row of token ids, behind its prompt."""
    prompt = row.get("prompt_ids", [])
    return Text(tuple(prompt + row[side]), len(prompt), row["group_id"])


def some_held_out(dataset: Dataset, *, batch_size: int, every: int) -> Dataset:
    """As many held-out comparisons as are trained on between two evaluations (at least 64): they cost a third of it."""
    return dataset.select(range(min(len(dataset), max(64, batch_size * every))))
