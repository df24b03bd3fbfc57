"""Conversations as tokens, and which of them are learned: the assistant's words, each turn to its end-of-turn token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

IGNORED = -100

Talk = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as tokens; `labels` are -100 wherever the assistant does not speak; `num_bytes` of her words.

    `ends` is whether an end of hers is learned, `is_asked_so` whether each answer follows what asks for one.
    """

    input_ids: list[int]
    labels: list[int]
    num_bytes: int
    ends: bool = True
    is_asked_so: bool = True


def read_talks(rows: list[dict[str, Any]]) -> list[Talk]:
    return [[{"role": m["role"], "content": m["content"]} for m in row["messages"]] for row in rows]


def question_of(talk: Talk) -> Talk:
    """The conversation up to the assistant's last turn."""
    turns = [i for i, message in enumerate(talk) if message["role"] == "assistant"]
    return talk[: turns[-1]] if turns else talk


def encode(tokenizer: Any, talk: Talk) -> Example:
    def render(messages: Talk, *, ask: bool) -> list[int]:
        if not messages:
            return []
        return list(
            tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, add_generation_prompt=ask)[
                "input_ids"
            ]
        )

    ids = render(talk, ask=False)
    labels = [IGNORED] * len(ids)
    num_bytes = 0
    is_asked_so = True
    for turn, message in enumerate(talk):
        if message["role"] != "assistant":
            continue
        asked = render(talk[:turn], ask=True)
        start = common_prefix(ids, asked)
        is_asked_so &= start == len(asked)
        end = common_prefix(ids, render(talk[: turn + 1], ask=False))
        ends = [i for i in range(start, end) if ids[i] == tokenizer.eos_token_id]
        end = ends[-1] + 1 if ends else end  # what a template writes behind the end of a turn is never generated
        if start < end:
            labels[start:end] = ids[start:end]
            num_bytes += len(message["content"].encode())
    return Example(ids, labels, num_bytes, ends=tokenizer.eos_token_id in labels, is_asked_so=is_asked_so)


def common_prefix(ids: list[int], others: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(ids, others, strict=False)) if a != b), min(len(ids), len(others)))


def learned_of(examples: list[Example]) -> dict[str, float]:
    """What is learned of conversations, for the coach: shares of tokens, of ends, of answers asked for otherwise."""
    tokens = sum(len(example.labels) for example in examples)
    return {
        "trained_share": sum(label != IGNORED for example in examples for label in example.labels) / tokens,
        "ends_learned": sum(example.ends for example in examples) / len(examples),
        "asked_otherwise": sum(not example.is_asked_so for example in examples) / len(examples),
    }
