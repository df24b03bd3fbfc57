"""Conversations as rows of a batch: several in one row, each isolated from the others, or one a row with padding.

Where we depart from TRL 1.16, which lays a whole batch of packs into one sequence, for the variable-length kernels of flash
attention: without them attention is quadratic in the batch. On a CPU we lay them into one sequence, too, and attend
conversation by conversation (`shared_attention`): nothing is padded, and no score is computed that a mask would hide.
Elsewhere, and for models whose attention can't be replaced, a pack is a row with positions that start anew at each example,
which transformers turns into a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset, concatenate_datasets
from trl import pack_dataset  # type: ignore[attr-defined]  # exported lazily

from training.mechanics.instructions.talks import IGNORED, Example
from training.mechanics.shared_attention import Block, Layout, filled_row


def as_dataset(examples: list[Example], *, part: int = 0) -> Dataset:
    """`part` is the number of the dataset in a mixture."""
    return Dataset.from_dict(
        {
            "input_ids": [example.input_ids for example in examples],
            "labels": [example.labels for example in examples],
            "num_bytes": [example.num_bytes for example in examples],
            "part": [part] * len(examples),
        }
    )


def pack(examples: list[Example], *, max_length: int, part: int = 0) -> Dataset:
    """Best-fit-decreasing packs of at most `max_length` tokens; `seq_lengths` says where each example ends."""
    dataset = as_dataset(examples).select_columns(["input_ids", "labels"])
    packed = pack_dataset(dataset, max_length, strategy="bfd", map_kwargs={"batch_size": max(len(dataset), 1)})
    return packed.add_column("part", [part] * len(packed))


def rows_of(parts: list[list[Example]], *, max_length: int | None) -> Dataset:
    """The rows of all datasets, one dataset behind the other; packed where a `max_length` is told."""
    return concatenate_datasets(
        [
            as_dataset(part, part=i) if max_length is None else pack(part, max_length=max_length, part=i)
            for i, part in enumerate(parts)
            if part  # no rows, no types of columns
        ]
    )


def talks_in(rows: Dataset) -> list[int]:
    """How many conversations each row holds."""
    if "seq_lengths" not in rows.column_names:
        return [1] * len(rows)
    return [len(lengths) for lengths in rows["seq_lengths"]]


@dataclass(frozen=True, slots=True)
class RowCollator:
    """Rows padded on the right. Packed rows carry positions: that is how packs are recognised.

    With `joins` packed rows become one, with a layout that says who sees whom.
    """

    pad_token_id: int
    joins: bool = False

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        if self.joins and "seq_lengths" in rows[0]:
            return joined(rows)
        shape = (len(rows), max(len(row["input_ids"]) for row in rows))
        input_ids = torch.full(shape, self.pad_token_id)
        labels = torch.full(shape, IGNORED)
        attention_mask = torch.zeros(shape, dtype=torch.long)
        position_ids = torch.zeros(shape, dtype=torch.long)  # a pad is at 0, in company of nothing
        for i, row in enumerate(rows):
            length = len(row["input_ids"])
            input_ids[i, :length] = torch.tensor(row["input_ids"])
            labels[i, :length] = torch.tensor(row["labels"])
            attention_mask[i, :length] = 1
            position_ids[i, :length] = torch.cat([torch.arange(n) for n in row.get("seq_lengths", [length])])
        batch = {"input_ids": input_ids, "labels": labels, "part": torch.tensor([row["part"] for row in rows])}
        if "seq_lengths" in rows[0]:
            return batch | {"position_ids": position_ids}
        return batch | {"attention_mask": attention_mask}


def joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All conversations of packed rows in one, at positions of their own: (1, T)."""
    lengths = [length for row in rows for length in row["seq_lengths"]]
    ends = list(accumulate(lengths))
    blocks = tuple(Block((end - length, end), ()) for length, end in zip(lengths, ends, strict=True))
    return {
        # First: the trainer takes the size of a batch from the first tensor it meets.
        "part": torch.tensor([row["part"] for row in rows]),
        "input_ids": torch.tensor([[token for row in rows for token in row["input_ids"]]]),
        "labels": torch.tensor([[label for row in rows for label in row["labels"]]]),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool),  # of four dimensions: transformers makes none
        "layout": Layout(blocks),
    }


def with_round_length(batch: dict[str, Any], *, pad_token_id: int) -> dict[str, Any]:
    """A joined row, behind it a text of pads that nobody sees and nothing is learned from, where it is long (`filled_row`)."""
    if "layout" not in batch:
        return batch
    length = batch["input_ids"].shape[1]
    blank = filled_row(length) - length
    if not blank:
        return batch
    found = {name: F.pad(batch[name], (0, blank), value=value)
             for name, value in (("input_ids", pad_token_id), ("labels", IGNORED), ("position_ids", 0))}  # fmt: skip
    blocks = (*batch["layout"].blocks, Block((length, length + blank), ()))
    return batch | found | {"layout": Layout(blocks)}
