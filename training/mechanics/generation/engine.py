"""Continuous batching: a finished sequence leaves at once, the next takes its place; a prompt is read once for all.

transformers' own (`generate_batch`) draws a whole batch from one random state, so a sequence's lots would depend on its
company; hence ours.

Shapes: B live sequences, P prompts read together, T positions, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from training.context import Stopped
from training.mechanics.generation.draws import Row, draw
from training.mechanics.generation.slots import SlotCache
from training.mechanics.generation.stops import Stops
from training.mechanics.virtual_tokens import Virtual

READ_PROMPTS, READ_TOKENS = 16, 2048  # at most, at a time


@dataclass(slots=True)
class Read:
    """A prompt that the model has read: row `row` of `cache`, and what it says of the first token."""

    cache: DynamicCache
    row: int
    logits_1V: Tensor


@dataclass(slots=True)
class Question:
    """A prompt, and the sequences that are still to be begun from it."""

    prompt: list[int]
    rows: deque[Row]
    read: Read | None = None


@dataclass(slots=True)
class Engine:
    """Fills `ids`, `logprobs`, `ended` and `text` of rows, at most `slots` of them at a time."""

    model: Any
    slots: int
    ends: frozenset[int]
    stops: Stops
    top_p: float
    stop_requested: Callable[[], bool] | None
    tell: Callable[[int], None] | None
    virtual: Virtual | None = None
    """What stands before every prompt; `before` tokens of it."""
    seats: list[Row | None] = field(default_factory=list)
    waiting: deque[Question] = field(default_factory=deque)
    num_done: int = 0

    @property
    def before(self) -> int:
        return self.virtual.count if self.virtual else 0

    def run(self, rows: list[Row]) -> None:
        """Raises `Stopped` before the next token, on request."""
        self.waiting = questions_of(rows)
        cache = SlotCache(slots=min(self.slots, len(rows)))
        while self.waiting or self.seats:
            told = self.num_done
            self.admit(cache)
            if self.seats:
                self.step(cache)
            if self.tell and self.num_done > told:
                self.tell(self.num_done)

    def admit(self, cache: SlotCache) -> None:
        """Gives free seats to what waits, and closes up those that stay free: live sequences are slots 0 to B-1."""
        free = [slot for slot, row in enumerate(self.seats) if row is None]
        free += range(len(self.seats), cache.slots)
        while self.waiting and free:
            question = self.waiting[0]
            if question.read is None:
                self.read_prompts()
            self.begin(question, cache, free)
            if not question.rows:
                self.waiting.popleft()
        close_up(self.seats, cache, before=self.before)

    def begin(self, question: Question, cache: SlotCache, free: list[int]) -> None:
        """Draws first tokens; what goes on takes seats off `free`."""
        assert question.read is not None
        read = question.read
        rows = [question.rows.popleft() for _ in range(min(len(free), len(question.rows)))]
        draw(read.logits_1V.expand(len(rows), -1), rows, top_p=self.top_p, ends=self.ends)
        going = [row for row in rows if not self.is_done(row)]
        if not going:
            return
        slots, free[: len(going)] = free[: len(going)], []
        self.seats += [None] * (max(slots) + 1 - len(self.seats))
        for slot, row in zip(slots, going, strict=True):
            self.seats[slot] = row
        length = self.before + len(question.prompt)
        cache.put(read.cache, read.row, slots=slots, length=length, room=length + max(row.most for row in going))

    def read_prompts(self) -> None:
        """Reads the next questions' prompts, padded on the right: causal attention sees nothing of what stands behind."""
        self.heed()
        batch: list[Question] = []
        for question in self.waiting:
            longest = max(len(question.prompt), *(len(q.prompt) for q in batch), 0)
            if len(batch) == READ_PROMPTS or (batch and longest * (len(batch) + 1) > READ_TOKENS):
                break
            batch.append(question)
        width = max(len(question.prompt) for question in batch)
        # Filled up with a token of their own: of a token for padding, models suspect that a mask was forgotten.
        padded = [question.prompt + question.prompt[-1:] * (width - len(question.prompt)) for question in batch]
        lasts = sorted({len(question.prompt) - 1 for question in batch})
        # Not a cache of the config, which forgets what a sliding window has left behind.
        cache = self.virtual.cache(len(batch)) if self.virtual else DynamicCache()
        logits_PLV = self.model(
            input_ids=torch.tensor(padded, device=self.model.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=torch.tensor(lasts, device=self.model.device),
        ).logits
        for p, question in enumerate(batch):
            at = lasts.index(len(question.prompt) - 1)
            question.read = Read(cache, p, logits_PLV[p, at : at + 1].clone())

    def step(self, cache: SlotCache) -> None:
        """One token of every live sequence."""
        self.heed()
        rows = [row for row in self.seats if row is not None]
        places = [self.before + len(row.prompt) + len(row.ids) - 1 for row in rows]
        at_B = torch.tensor(places, device=self.model.device)
        cache.begin_step(at_B, width=max(places) + 1)
        logits_BV = self.model(
            input_ids=torch.tensor([row.ids[-1:] for row in rows], device=self.model.device),
            attention_mask=cache.masks(self.model.config.get_text_config()),
            position_ids=at_B[:, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        draw(logits_BV, rows, top_p=self.top_p, ends=self.ends)
        self.seats = [None if self.is_done(row) else row for row in rows]

    def is_done(self, row: Row) -> bool:
        """Whether the last token was the last; says how the row ended."""
        row.ended = row.ids[-1] in self.ends
        if not row.ended and (cut := self.stops.cut(row.ids, least=row.least)):
            row.ended, row.text = True, cut.text
            del row.ids[cut.num_tokens :], row.logprobs[cut.num_tokens :]
        done = row.ended or len(row.ids) == row.most
        self.num_done += done
        return done

    def heed(self) -> None:
        if self.stop_requested and self.stop_requested():
            raise Stopped


def questions_of(rows: list[Row]) -> deque[Question]:
    """Rows by their prompts, short ones first: those that are read together are of similar length."""
    found: dict[tuple[int, ...], Question] = {}
    for row in rows:
        found.setdefault(tuple(row.prompt), Question(row.prompt, deque())).rows.append(row)
    return deque(sorted(found.values(), key=lambda question: len(question.prompt)))


def close_up(seats: list[Row | None], cache: SlotCache, *, before: int) -> None:
    """Moves the last live sequences into the seats that are free before them; `before` tokens stand before each prompt."""
    live = sum(row is not None for row in seats)
    target = [slot for slot in range(live) if seats[slot] is None]
    source = [slot for slot in range(live, len(seats)) if seats[slot] is not None]
    if source:
        moved = [row for row in (seats[slot] for slot in source) if row is not None]
        cache.move(source, target, length=before + max(len(row.prompt) + len(row.ids) for row in moved))
        for slot, row in zip(target, moved, strict=True):
            seats[slot] = row
    del seats[live:]
