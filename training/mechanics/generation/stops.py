"""Strings at which an answer ends: looked for in the text, for their letters may be spread over tokens in many ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SLACK = 4  # tokens more than a stop string has bytes, so that what a cut does to the first letters does not matter


@dataclass(frozen=True, slots=True)
class Cut:
    """The text before a stop string, and how many tokens lie wholly within it.

    A token that reaches into the stop string is none of them, though its first letters are of the text.
    """

    text: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Stops:
    strings: tuple[str, ...]
    tokenizer: Any

    def cut(self, ids: list[int], *, least: int) -> Cut | None:
        """Where the first stop string begins that lies behind the first `least` tokens; to be asked at each token."""
        if not self.strings or len(ids) <= least or not self.near_end(ids):
            return None
        text = self.read(ids)
        start = len(self.read(ids[:least]))
        found = [at for at in (text.find(string, start) for string in self.strings) if at >= 0]
        if not found:
            return None
        kept = text[: min(found)]
        whole = (n for n in range(len(ids), 0, -1) if kept.startswith(self.read(ids[:n])))
        return Cut(kept, next(whole, 0))

    def near_end(self, ids: list[int]) -> bool:
        """Whether the last tokens spell one: reading all of a long text anew at each token would cost its square."""
        most = max(len(string.encode()) for string in self.strings)
        tail = self.read(ids[-(most + SLACK) :])
        return any(string in tail for string in self.strings)

    def read(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text
