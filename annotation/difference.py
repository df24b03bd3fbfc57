"""What changed between two texts, word by word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

WORD = re.compile(r"\s+|\w+|[^\w\s]")
MOST_WORDS = 2_000  # comparing takes time by their square: longer texts are compared by lines
MOST_LINES = 2_000  # ... and longer ones shown whole, the old one and the new


@dataclass(frozen=True, slots=True)
class Piece:
    """`change` is "same", "gone" or "new"."""

    change: str
    text: str


def difference(before: str, after: str) -> tuple[Piece, ...]:
    """Pieces in order: those that are not new give `before`, those that are not gone give `after`."""
    return tuple(_pieces(*_parts(before, after)))


def _parts(before: str, after: str) -> tuple[list[str], list[str]]:
    words = WORD.findall(before), WORD.findall(after)
    if max(map(len, words)) <= MOST_WORDS:
        return words
    lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return lines if max(map(len, lines)) <= MOST_LINES else ([before], [after])


def _pieces(old: list[str], new: list[str]) -> Iterator[Piece]:
    for change, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if change == "equal":
            yield Piece("same", "".join(old[i:j]))
            continue
        if j > i:
            yield Piece("gone", "".join(old[i:j]))
        if m > k:
            yield Piece("new", "".join(new[k:m]))
