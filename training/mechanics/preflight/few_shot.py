"""How well a model foresees held-out answers with no example before the question, and with a few: the same rows each time."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from training.mechanics.instructions.talks import IGNORED, Talk, encode, question_of
from training.mechanics.ratios import Ratio, ratio_over
from training.mechanics.scoring import Completion


def last_turn(talk: Talk) -> Talk:
    """Without what stands behind the assistant's last answer."""
    asked = question_of(talk)
    return talk[: len(asked) + 1] if len(asked) < len(talk) else talk


def with_shots(talk: Talk, shots: Sequence[Talk]) -> Talk:
    """The examples as earlier turns of the same conversation, behind its system message if there is one."""
    start = 1 if talk[0]["role"] == "system" else 0
    shown = [message for shot in shots for message in shot if message["role"] != "system"]
    return [*talk[:start], *shown, *talk[start:]]


def completion_of(tokenizer: Any, talk: Talk) -> Completion | None:
    """The last answer and its end, given all before; None where the template leaves nothing to learn there."""
    example = encode(tokenizer, talk)
    learned = [place for place, label in enumerate(example.labels) if label != IGNORED]
    if not learned or learned[-1] == 0:
        return None
    start = learned[-1]
    while start > 1 and example.labels[start - 1] != IGNORED:
        start -= 1
    return Completion(example.input_ids[:start], example.input_ids[start : learned[-1] + 1])


def choose_shots(train: list[Talk], *, count: int, seed: int) -> list[Talk]:
    """By lot among the shorter half, so that they fit; one question and answer each, no question twice."""
    single = {question_of(talk)[-1]["content"]: last_turn(talk) for talk in train if len(question_of(talk)) < 3}
    shorter = sorted(single.values(), key=lambda talk: sum(len(message["content"]) for message in talk))
    pool = shorter[: max(count, len(shorter) // 2)]
    return random.Random(seed).sample(pool, min(count, len(pool)))


def num_bytes(talk: Talk) -> int:
    return len(talk[-1]["content"].encode())


def bits_per_byte(nats: Sequence[float], sizes: Sequence[int]) -> Ratio | None:
    return ratio_over([(value / math.log(2), size) for value, size in zip(nats, sizes, strict=True)])


def difference(one: Sequence[float], other: Sequence[float], sizes: Sequence[int]) -> Ratio | None:
    """Of bits per byte, by the same rows: above 0 where `other` foresees the answers better."""
    return bits_per_byte([a - b for a, b in zip(one, other, strict=True)], sizes)
