"""What differs between two texts, word by word: side by side, or in one. Pure: of the texts, never of what they look like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from itertools import accumulate, groupby

# A word with the blanks behind it; a sign of a script without blanks is a word by itself.
WORD = re.compile(
    r"(?:[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\w\s])\s*|\s+"
)
MOST_PAIRS = 3_000_000  # places of equal words that are looked at; then what is left counts as different


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    is_marked: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """Both texts whole, in pieces. Not `is_whole` where the work was cut short: then more is marked than differs."""

    left: tuple[Piece, ...]
    right: tuple[Piece, ...]
    is_whole: bool

    @property
    def is_none(self) -> bool:
        return not any(piece.is_marked for piece in (*self.left, *self.right))


@dataclass(frozen=True, slots=True)
class Run:
    """Words left[start:end] beside right[start:end], equal or not."""

    is_equal: bool
    left: slice
    right: slice


class BoundedMatcher(SequenceMatcher[str]):
    """difflib's matcher, which takes cubic time at worst, with an end to its work that depends on the texts alone."""

    def __init__(self, left: list[str], right: list[str]) -> None:
        super().__init__(None, left, right, autojunk=False)
        counts = Counter(right)
        self.pairs_until = list(accumulate((1 + counts[word] for word in left), initial=0))
        self.num_looked_at = 0
        self.is_cut = False

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        pairs = self.pairs_until[-1 if ahi is None else ahi] - self.pairs_until[alo]
        if self.num_looked_at + pairs > MOST_PAIRS:
            self.is_cut = True
            return Match(alo, blo, 0)
        self.num_looked_at += pairs
        return super().find_longest_match(alo, ahi, blo, bhi)


def difference(left: str, right: str) -> Difference:
    """Both texts with the words marked that the other has not in that place."""
    words = WORD.findall(left), WORD.findall(right)
    keys = [word.strip() for word in words[0]], [word.strip() for word in words[1]]
    matcher = BoundedMatcher(*keys)
    runs = [Run(True, slice(0, len(keys[0])), slice(0, len(keys[1])))] if keys[0] == keys[1] else runs_of(matcher)
    runs = [Run(run.is_equal and not is_chance(runs, at, words), run.left, run.right) for at, run in enumerate(runs)]
    return Difference(
        left=pieces((words[0][run.left], run.is_equal) for run in runs),
        right=pieces((words[1][run.right], run.is_equal) for run in runs),
        is_whole=not matcher.is_cut,
    )


@dataclass(frozen=True, slots=True)
class Change:
    """`kind` is "same", "gone" or "new"."""

    kind: str
    text: str


def changes(before: str, after: str) -> tuple[Change, ...]:
    """One text from two: the changes that are not new give `before`, those that are not gone give `after`."""
    old, new = WORD.findall(before), WORD.findall(after)
    found = []
    for run in runs_of(BoundedMatcher(old, new)):
        gone, came = "".join(old[run.left]), "".join(new[run.right])
        found += [Change("same", gone)] if run.is_equal else [Change("gone", gone), Change("new", came)]
    return tuple(change for change in found if change.text)


def runs_of(matcher: SequenceMatcher[str]) -> list[Run]:
    return [Run(tag == "equal", slice(i1, i2), slice(j1, j2)) for tag, i1, i2, j1, j2 in matcher.get_opcodes()]


def is_chance(runs: list[Run], at: int, words: tuple[list[str], list[str]]) -> bool:
    """Whether an equal run is shorter than the changes on both its sides: two texts of one language share "the" and "of"."""
    if not 0 < at < len(runs) - 1:
        return False
    length = size(words[0][runs[at].left])
    around = (max(size(words[0][run.left]), size(words[1][run.right])) for run in (runs[at - 1], runs[at + 1]))
    return all(length <= other for other in around)


def size(words: list[str]) -> int:
    return sum(map(len, words))


def pieces(runs: Iterator[tuple[list[str], bool]]) -> tuple[Piece, ...]:
    """Neighbours of one kind become one piece; the blanks behind a marked piece are not marked."""
    made: list[Piece] = []
    for is_equal, group in groupby(runs, key=lambda run: run[1]):
        text = "".join(word for words, _ in group for word in words)
        core = text if is_equal else text.rstrip()
        made += [Piece(core, not is_equal)] if core else []
        made += [Piece(text[len(core) :], False)] if text[len(core) :] else []
    return tuple(made)
