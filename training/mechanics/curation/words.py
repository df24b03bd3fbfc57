"""Texts as numbers: a hash for every word and every run of n words, thousands of texts in one call of numpy.

A word is a run of letters and digits of Unicode, in lower case; a character of a script that writes no spaces (Chinese,
Japanese kana, Thai, Lao, Khmer, Burmese) is a word by itself. The hashes are the same on every machine and in every
process: a polynomial over code points modulo 2**64, then the finaliser of splitmix64 (Steele et al. 2014).

Legend: C characters of all texts, W words of all texts, D texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

KNOWN = 0x20000  # code points with a table of their own; what lies above are words by themselves
ALONE = ((0x0E00, 0x0E80), (0x0E80, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x3400, 0xA000),
         (0xF900, 0xFB00))  # fmt: skip
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
STEP = 0xD1342543DE82EF95


@dataclass(frozen=True, slots=True)
class Words:
    hashes_W: U64
    begins_D: Ints
    """Of the words of each text; one more at the end, so that text d has words begins[d] to begins[d + 1]."""
    widths_W: Ints
    """Characters of each word."""

    @property
    def counts_D(self) -> Ints:
        return np.diff(self.begins_D)

    @property
    def text_of_W(self) -> Ints:
        return np.repeat(np.arange(len(self.begins_D) - 1), self.counts_D)


def words_of(texts: Sequence[str]) -> Words:
    codes_C = np.frombuffer("\0".join(texts).encode("utf-32-le", "replace"), dtype=np.uint32)
    lower, kinds = tables()
    lower_C = np.where(codes_C < KNOWN, lower[np.minimum(codes_C, KNOWN - 1)], codes_C)
    kind_C = np.where(codes_C < KNOWN, kinds[np.minimum(codes_C, KNOWN - 1)], 2)
    before_C = np.concatenate([np.zeros(1, np.uint8), kind_C[:-1]]) if len(kind_C) else kind_C
    after_C = np.concatenate([kind_C[1:], np.zeros(1, np.uint8)]) if len(kind_C) else kind_C
    begins_W = np.flatnonzero((kind_C == 2) | ((kind_C == 1) & (before_C != 1)))
    ends_W = np.flatnonzero((kind_C == 2) | ((kind_C == 1) & (after_C != 1))) + 1
    power, inverse = powers(len(codes_C))
    summed_C = np.zeros(len(codes_C) + 1, dtype=np.uint64)
    np.cumsum((lower_C.astype(np.uint64) + np.uint64(1)) * power, out=summed_C[1:])
    hashes_W = mixed((summed_C[ends_W] - summed_C[begins_W]) * inverse[begins_W])
    starts_D = np.cumsum([0, *(len(text) + 1 for text in texts)])
    return Words(hashes_W, np.searchsorted(begins_W, starts_D).astype(np.int64), (ends_W - begins_W).astype(np.int64))


def runs_of(words: Words, n: int, *, short: bool = False) -> tuple[U64, Ints]:
    """The hash of every n words that follow each other, and the words at which they begin.

    A text of fewer than n words has none, or with `short` one: all of its words.
    """
    ends_W = np.repeat(words.begins_D[1:], words.counts_D)
    place_W = np.arange(len(words.hashes_W))
    summed_W = np.zeros(len(place_W), dtype=np.uint64)
    factor = 1
    for k in range(n):
        factor = factor * STEP % 2**64
        ahead = words.hashes_W[k:] * np.uint64(factor)
        inside = place_W[: len(ahead)] + k < ends_W[: len(ahead)]
        summed_W[: len(ahead)] += np.where(inside, ahead, np.uint64(0))
    is_whole = place_W + n <= ends_W
    if short:
        first_W = np.repeat(words.begins_D[:-1], words.counts_D)
        is_whole |= (place_W == first_W) & (ends_W - first_W < n)
    places = np.flatnonzero(is_whole)
    return mixed(summed_W[places]), places


def mixed(values: U64) -> U64:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@cache
def tables() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Of each code point its lower case, and what it is: 0 between words, 1 part of a word, 2 a word."""
    lower = np.arange(KNOWN, dtype=np.uint32)
    kinds = np.zeros(KNOWN, dtype=np.uint8)
    for code in range(KNOWN):
        letter = chr(code)
        if letter.isalnum():
            kinds[code] = 1
            small = letter.lower()
            lower[code] = ord(small) if len(small) == 1 else code
    for first, end in ALONE:
        kinds[first:end] = np.where(kinds[first:end] > 0, 2, 0)
    return lower, kinds


_powers: tuple[U64, U64] = (np.zeros(0, np.uint64), np.zeros(0, np.uint64))


def powers(count: int) -> tuple[U64, U64]:
    """BASE**0, BASE**1 ... and their inverses modulo 2**64; made once for the longest batch."""
    global _powers  # a table that grows
    if len(_powers[0]) < count:
        size = max(count, 1 << 16)
        made = []
        for base in (BASE, pow(BASE, -1, 2**64)):
            table = np.full(size, base, dtype=np.uint64)
            table[0] = 1
            made.append(np.cumprod(table, dtype=np.uint64))
        _powers = made[0], made[1]
    return _powers[0][:count], _powers[1][:count]
