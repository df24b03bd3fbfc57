"""Texts as windows of tokens, each token with the characters it came from; long texts in several that overlap.

What a tokenizer writes around a text, and between two, is asked of itself, once. Offsets are trimmed of blanks: a
byte-level token " Rome" came from " Rome", and the entity is "Rome". A character of several tokens (an emoji in bytes) is
whole in each of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.contract import Failure

NOWHERE = (0, 0)  # the offsets of a token of blanks alone


@dataclass(frozen=True, slots=True)
class Window:
    """`offsets` by token of the text in it: first character and the one behind the last; `NOWHERE` for blanks.

    `first`: which token of the whole text stands first in it, `lead`: how many tokens stand before that one.
    """

    row: int
    input_ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    first: int
    lead: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The tokens before a text, between a question and its text, and behind; `is_marked`: the first stands for all."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    behind: tuple[int, ...]
    is_marked: bool

    @classmethod
    def of(cls, tokenizer: Any) -> Frame:
        alone, pair = ids_of(tokenizer, "a", marked=True), list(tokenizer("a", "a")["input_ids"])
        bare = ids_of(tokenizer, "a")
        places = [at for at in range(len(pair) - len(bare) + 1) if pair[at : at + len(bare)] == bare]
        first, second = places[0], places[-1]
        between = pair[first + len(bare) : second]
        is_marked = tokenizer.cls_token_id is not None and pair[0] == tokenizer.cls_token_id
        behind = alone[first + len(bare) :]
        if not is_marked and not behind:
            # A causal model has read the whole window only at its end: there stands whether there is an answer.
            behind = [tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.pad_token_id]
        return cls(tuple(alone[:first]), tuple(between or ids_of(tokenizer, "\n")), tuple(behind), is_marked=is_marked)

    def null_place(self, window: Window) -> int:
        """The token that stands for "no answer here"."""
        return 0 if self.is_marked else len(window.input_ids) - 1


def ids_of(tokenizer: Any, text: str, *, marked: bool = False) -> list[int]:
    return list(tokenizer(text, add_special_tokens=marked)["input_ids"])


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Offsets without the blanks at their ends, with the marks that stand on the last letter; `NOWHERE` for blanks alone.

    A tokenizer that strips accents gives "e" of "e" and a combining accent; the word's last character is the accent.
    """
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start == end:
        return NOWHERE
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return start, end


def windows_of(
    row: int, text: str, *, question: str = "", tokenizer: Any, frame: Frame, max_length: int, stride: int
) -> list[Window]:
    """One window or more; two neighbours share `stride` tokens of the text.

    Raises `Failure("question_too_long")` where a question leaves no room for a text.
    """
    if not tokenizer.is_fast:
        raise Failure("slow_tokenizer", "This tokenizer does not tell which characters a token came from.",
                      advice="Give the model a tokenizer.json.")  # fmt: skip
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(read["input_ids"])
    offsets = [trimmed(text, start, end) for start, end in read["offset_mapping"]]
    asked = [*ids_of(tokenizer, question), *frame.between] if question else []
    head = [*frame.before, *asked]
    room = max_length - len(head) - len(frame.behind)
    if room <= stride:
        raise Failure(
            "question_too_long",
            f"A question of {len(asked)} tokens leaves {max(room, 0)} of a window's {max_length} for the text.",
            advice="Raise max_length, lower stride, or ask shorter questions.",
        )
    kinds = [0] * len(head)
    found = []
    for start in starts_of(len(ids), room=room, stride=stride):
        part, places = ids[start : start + room], offsets[start : start + room]
        found.append(
            Window(
                row,
                (*head, *part, *frame.behind),
                (*kinds, *[int(bool(question))] * (len(part) + len(frame.behind))),
                tuple(places),
                first=start,
                lead=len(head),
            )
        )
    return found


def starts_of(length: int, *, room: int, stride: int) -> Sequence[int]:
    return [0, *range(room - stride, length - stride, room - stride)]
