"""How much likelier a model finds one answer than the other: log P("(A)") - log P("(B)"), given the question.

A whole answer is scored, token by token as the tokenizer writes it where the assistant speaks: one writes `(A)` as three
tokens and another as `(A` and `)`, some put a space before it, and no single token is the letter in all. A question stands in
memory once, its two answers behind it (`shared_prefix`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.mechanics.datasets import Message, render_conversation, render_prompt
from training.mechanics.judging.asking import ANSWERS
from training.mechanics.memory import Room
from training.mechanics.shared_prefix import READ, Reader, Text, on_device, read_together
from training.mechanics.trainers.head import add_text_log_probs

ASKED = (*READ, "asked_ids", "asked_places", "asked_of")


@dataclass(frozen=True, slots=True)
class Question:
    """Token ids, and those of each answer."""

    ids: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def length(self) -> int:
        return len(self.ids) + max(map(len, self.answers))


def written(tokenizer: Any, messages: list[Message]) -> Question:
    """Answers as they would stand behind the question in a conversation, up to their last sign: with what a chat template puts
    before them, and without the end of turn, for a model may well go on."""
    ids = render_prompt(tokenizer, messages)
    return Question(tuple(ids), tuple(answer_behind(tokenizer, messages, ids, answer) for answer in ANSWERS))


def answer_behind(tokenizer: Any, messages: list[Message], ids: list[int], answer: str) -> tuple[int, ...]:
    whole = render_conversation(tokenizer, [*messages, {"role": "assistant", "content": answer}])
    behind = whole[len(ids) :] if whole[: len(ids)] == ids else []
    for end in range(1, len(behind) + 1):
        if answer in tokenizer.decode(behind[:end]):
            return tuple(behind[:end])
    # A template that writes a turn otherwise once it is said: then the answer by itself.
    return tuple(tokenizer(answer, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True, slots=True)
class LetterReader:
    """A model that is asked for answers; `room` is what its memory holds."""

    model: Any
    reader: Reader
    room: Room

    @classmethod
    def of(cls, model: Any, tokenizer: Any, *, room: Room) -> LetterReader:
        reader = Reader.of(model, pad_token_id=tokenizer.pad_token_id)
        add_text_log_probs(model)
        return cls(model, reader, room)

    def log_odds(self, questions: Sequence[Question], *, batch_size: int) -> list[float]:
        """Of the first answer against the second, of each question."""
        found: list[float] = []
        for start in range(0, len(questions), batch_size):
            some = questions[start : start + batch_size]
            found += [one for part in self.room.halve(some, self.read, ids=lambda q: q.ids) for one in part]
        return found

    @torch.no_grad()
    def read(self, questions: Sequence[Question]) -> list[float]:
        texts = [
            Text((*question.ids, *answer), len(question.ids), str(number))
            for number, question in enumerate(questions)
            for answer in question.answers
        ]
        batch = on_device(read_together(texts, reader=self.reader), self.model.device)
        told = self.model(**{name: batch[name] for name in ASKED}, num_texts=len(texts)).log_probs
        first, second = told.double().view(-1, 2).unbind(dim=1)
        found: list[float] = (first - second).tolist()
        return found
