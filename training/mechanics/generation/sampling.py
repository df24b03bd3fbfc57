"""Sampling from a causal model: each sequence from a seed and at a temperature of its own, whatever its company.

A sequence's lots are drawn from its seed alone, one a token, so neither the sequences beside it nor an interruption
changes them. (The arithmetic of a batch is the same only to rounding: in bfloat16 another company may tip a token.)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from training.contract import Failure, is_out_of_memory
from training.mechanics.generation.draws import Row
from training.mechanics.generation.engine import Engine
from training.mechanics.generation.slots import refuse_other_states
from training.mechanics.generation.stops import Stops
from training.mechanics.memory import Room
from training.mechanics.virtual_tokens import split


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model answered. `ids` end in the end token if there was one; where a stop string cut the text, they are
    the tokens that lie wholly before it. `logprobs` are theirs, in nats, at the temperature they were sampled at,
    before `top_p` or a least length kept anything from being drawn. `ended`: by an end token or a stop string.
    """

    ids: list[int]
    text: str
    logprobs: list[float]
    ended: bool

    @property
    def logprob(self) -> float:
        return sum(self.logprobs)


def seed_of(*parts: object) -> int:
    """A seed that follows from `parts`. Stable across machines; below 2^63."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def seeds_of(prompts: list[list[dict[str, str]]], *parts: object, samples: int) -> list[list[int]]:
    """`samples` seeds for each of `prompts` (conversations), which follow from `parts` and from what a prompt says.

    Not from its id or place: the same prompts give the same samples in any database. Of two prompts that say the same,
    the second has seeds of its own.
    """
    told: Counter[str] = Counter()
    seeds = []
    for messages in prompts:
        words = repr([(message["role"], message["content"]) for message in messages])
        seeds.append([seed_of(*parts, words, told[words], i) for i in range(samples)])
        told[words] += 1
    return seeds


@torch.no_grad()
def sample(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    *,
    seeds: list[int],
    temperatures: list[float],
    top_p: float,
    max_new_tokens: int,
    batch_size: int,
    min_new_tokens: int = 0,
    stop_strings: tuple[str, ...] = (),
    tell: Callable[[int], None] | None = None,
    stop_requested: Callable[[], bool] | None = None,
    room: Room | None = None,
) -> list[Sample]:
    """One answer to each of `prompts` (token ids), in their order, `batch_size` at a time; equal prompts are read once.

    An answer ends with an end token or before a stop string, neither of them within its first `min_new_tokens`, or at
    `max_new_tokens`. `tell` hears how many sequences are done; `stop_requested` is asked at each token and ends the
    sampling with `Stopped`. Raises `Failure`: "prompt_too_long" for a prompt that fills the model's context, "no_slots".
    With a `room`, what was unfinished where memory ended is begun again with half as many at a time; "out_of_memory".
    """
    told, (model, virtual) = model, split(model)
    refuse_other_states(model)
    before = virtual.count if virtual else 0
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rows = []
    for prompt, seed, temperature in zip(prompts, seeds, temperatures, strict=True):
        most = max_new_tokens if context is None else min(max_new_tokens, context - before - len(prompt))
        if most < 1:
            raise Failure(
                "prompt_too_long",
                f"A prompt has {len(prompt)} tokens and leaves no room for an answer: the model reads {context}.",
                advice="Leave out prompts of that length.",
            )
        rows.append(Row(prompt, np.random.default_rng(seed).random(most), temperature, most, min_new_tokens))
    ends, stops = end_tokens(model, tokenizer), Stops(stop_strings, tokenizer)
    was_training = told.training
    told.eval()
    try:
        left, seats = rows, min(batch_size, room.seats or batch_size) if room else batch_size
        while left:
            try:
                done = len(rows) - len(left)
                Engine(model, seats, ends, stops, top_p, stop_requested, tell, virtual, num_done=done).run(left)
            except RuntimeError as error:
                if room is None or not is_out_of_memory(error):
                    raise
            left = [row.begun_again() for row in rows if not row.is_done]
            if left and room:
                seats = room.fewer_seats(seats, [row.prompt for row in left])
    finally:
        told.train(was_training)
    return [
        Sample(row.ids, stops.read(row.ids) if row.text is None else row.text, row.logprobs, row.ended) for row in rows
    ]


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    more = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (tokenizer.eos_token_id, *more) if token is not None)
