"""The held-out prompts that are answered at each evaluation, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.mechanics import datasets
from training.mechanics.datasets import Message


@dataclass(frozen=True, slots=True)
class Show:
    """The held-out prompts (token ids, and the words shown for them) that are answered at each evaluation."""

    prompts: list[list[int]]
    texts: list[str]
    max_new_tokens: int
    temperature: float = 0.8

    def __bool__(self) -> bool:
        return bool(self.prompts) and self.max_new_tokens > 0


def pick_show(
    conversations: list[list[Message]], *, tokenizer: Any, count: int, max_length: int, max_new_tokens: int
) -> Show:
    """The first `count` distinct prompts below `max_length` tokens; what is shown for one is its last turn."""
    prompts: list[list[int]] = []
    texts: list[str] = []
    for messages in conversations:
        ids = datasets.render_prompt(tokenizer, messages)
        if ids not in prompts and len(ids) < max_length:
            prompts.append(ids)
            texts.append(messages[-1]["content"])
        if len(prompts) == count:
            break
    return Show(prompts, texts, max_new_tokens)
