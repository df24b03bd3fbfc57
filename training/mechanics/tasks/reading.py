"""Rows as examples that a model reads, batches of them, the loss, and what a model says of each in few plain values.

Legend: B examples of a batch, T tokens of the longest, L labels or tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.mechanics.shared_attention import STEP, filled
from training.mechanics.tasks.answers import best_answers, target_of
from training.mechanics.tasks.bio import tags_of
from training.mechanics.tasks.heads import TaskRule
from training.mechanics.tasks.rows import Row
from training.mechanics.tasks.windows import NOWHERE, Frame, Window, windows_of

IGNORED = -100

Said = dict[str, Any]
"""What a model says of an example, as JSON: log-probabilities of labels, a tag a token, or its best answers."""


@dataclass(frozen=True, slots=True)
class Example:
    """`labels`: one of a classification, one a token for entities, first and last token of an answer."""

    window: Window
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Laid:
    """Rows as examples, and how many texts were cut for a label."""

    examples: list[Example]
    num_cut: int = 0


@dataclass(frozen=True, slots=True)
class Reader:
    """Lays rows before a model by the rule of its task, and reads what the model says."""

    tokenizer: Any
    rule: TaskRule
    frame: Frame

    @classmethod
    def of(cls, tokenizer: Any, rule: TaskRule) -> Reader:
        return cls(tokenizer, rule, Frame.of(tokenizer))

    def lay(self, rows: Sequence[Row]) -> Laid:
        if self.rule.task == "classification":
            return self.lay_whole(rows)
        number = {name: i for i, name in enumerate(self.rule.names)}
        examples = []
        for i, row in enumerate(rows):
            windows = windows_of(
                i, row.text, question=row.question if self.rule.task == "answers" else "", tokenizer=self.tokenizer,
                frame=self.frame, max_length=self.rule.max_length, stride=self.rule.stride,
            )  # fmt: skip
            if self.rule.task == "answers":
                null = self.frame.null_place
                examples += [Example(window, target_of(row, window, null=null(window))) for window in windows]
            else:
                tags = tags_of(row.spans, text_offsets(windows))
                examples += [Example(window, tag_labels(window, tags, number)) for window in windows]
        return Laid(examples)

    def lay_whole(self, rows: Sequence[Row]) -> Laid:
        """A text and its label; one that is too long is read as far as a window reaches."""
        number = {name: i for i, name in enumerate(self.rule.names)}
        examples, num_cut = [], 0
        for i, row in enumerate(rows):
            whole = self.tokenizer(row.text)["input_ids"]
            ids = self.tokenizer(row.text, truncation=True, max_length=self.rule.max_length)["input_ids"]
            ids = ids or [self.tokenizer.pad_token_id]  # of a text that the tokenizer knows no sign of
            num_cut += len(ids) < len(whole)
            window = Window(i, tuple(ids), (0,) * len(ids), (), first=0, lead=0)
            examples.append(Example(window, (number.get(row.label, IGNORED),)))
        return Laid(examples, num_cut)

    def batch(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Padded on the right. Pads are told by the mask and the labels, never by their id."""
        longest = max(len(example.window.input_ids) for example in examples)
        if self.rule.task == "classification":  # where a pad is no candidate for an answer: few shapes take less memory
            longest = max(longest, min(filled(longest, STEP), self.rule.max_length))
        shape = len(examples), longest
        found = {"input_ids": torch.full(shape, self.tokenizer.pad_token_id)}
        found |= {name: torch.zeros(shape, dtype=torch.long) for name in ("attention_mask", "token_type_ids")}
        for i, example in enumerate(examples):
            length = len(example.window.input_ids)
            found["input_ids"][i, :length] = torch.tensor(example.window.input_ids)
            found["token_type_ids"][i, :length] = torch.tensor(example.window.type_ids)
            found["attention_mask"][i, :length] = 1
        if "token_type_ids" not in self.tokenizer.model_input_names:
            del found["token_type_ids"]
        width = shape[1] if self.rule.task == "entities" else len(examples[0].labels)
        labels = [[*example.labels, *[IGNORED] * (width - len(example.labels))] for example in examples]
        return found | {"labels": torch.tensor(labels)}

    # What a model says

    def scores(self, model: Any, batch: dict[str, Tensor]) -> Tensor:
        """Logits in float32: (B, L), (B, T, L), or (B, T, 2) of the first and the last token of an answer."""
        read = model(**{name: value for name, value in batch.items() if name not in ("labels", "share")})
        if self.rule.task == "answers":
            return torch.stack([read.start_logits, read.end_logits], dim=-1).float()
        logits: Tensor = read.logits
        return logits.float()

    def loss(self, scores: Tensor, labels: Tensor, *, weights_L: Tensor | None = None) -> Tensor:
        """The mean over texts, over tokens, or over both ends of an answer."""
        match self.rule.task:
            case "classification":
                return F.cross_entropy(scores, labels[:, 0], weight=weights_L, ignore_index=IGNORED)
            case "entities":
                return F.cross_entropy(scores.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
            case "answers":
                return (
                    F.cross_entropy(scores[..., 0], labels[:, 0]) + F.cross_entropy(scores[..., 1], labels[:, 1])
                ) / 2

    def total(self, labels: Tensor, *, weights_L: Tensor | None = None) -> Tensor:
        """What the sums of `loss` are divided by."""
        told = labels if self.rule.task == "entities" else labels[:, 0]
        told = told[told != IGNORED]
        return weights_L[told].sum() if weights_L is not None else torch.tensor(float(len(told)), device=labels.device)

    def say(self, scores: Tensor, examples: Sequence[Example]) -> list[Said]:
        """`scores` of a batch of `examples`, without their pads."""
        match self.rule.task:
            case "classification":
                return [{"logs": row} for row in scores.log_softmax(dim=-1).tolist()]
            case "entities":
                tags = scores.argmax(dim=-1).tolist()
                spoken = [(e.window.lead, e.window.lead + len(e.window.offsets)) for e in examples]
                return [{"tags": row[first:last]} for row, (first, last) in zip(tags, spoken, strict=True)]
            case "answers":
                return [
                    best_answers(
                        ends.double().numpy(), example.window, null=self.frame.null_place(example.window),
                        max_answer=self.rule.max_answer,
                    )
                    for ends, example in zip(scores.cpu(), examples, strict=True)
                ]  # fmt: skip


def text_offsets(windows: Sequence[Window]) -> list[tuple[int, int]]:
    """Of every token of the text that these are the windows of, in its order."""
    found: list[tuple[int, int]] = []
    for window in windows:
        found += window.offsets[len(found) - window.first :]
    return found


def tag_labels(window: Window, tags: Sequence[str], number: dict[str, int]) -> tuple[int, ...]:
    """Blanks, marks and tags that were never met in training have no label."""
    own = tags[window.first : window.first + len(window.offsets)]
    told = [
        IGNORED if place == NOWHERE else number.get(tag, IGNORED)
        for tag, place in zip(own, window.offsets, strict=True)
    ]
    return (*[IGNORED] * window.lead, *told, *[IGNORED] * (len(window.input_ids) - window.lead - len(told)))
