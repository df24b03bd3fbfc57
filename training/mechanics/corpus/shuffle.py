"""Orders by lot that take no more memory for a large corpus than for a small one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TABLE = 2**20  # places that are kept as a table, of 8 MB; above, each is worked out when it is asked for
ROUNDS = 4
WORD = 2**64 - 1


def permuted(count: int, lot: np.random.Generator) -> Callable[[int], int]:
    """Where each of `count` things stands in an order by lot: a permutation of `range(count)`, as a function."""
    if count <= TABLE:
        table = lot.permutation(count)
        return lambda number: int(table[number])
    keys = [int(key) for key in lot.integers(2**63, size=ROUNDS)]
    half = ((count - 1).bit_length() + 1) // 2
    return lambda number: walk(number, count, half=half, keys=keys)


def walk(number: int, count: int, *, half: int, keys: list[int]) -> int:
    """A Feistel network permutes the numbers of `2 * half` bits; whoever lands outside of `count` goes on from there."""
    low = (1 << half) - 1
    while True:
        left, right = number >> half, number & low
        for key in keys:
            left, right = right, left ^ (mixed(right ^ key) & low)
        number = left << half | right
        if number < count:
            return number


def mixed(word: int) -> int:
    """SplitMix64's finaliser (Steele et al. 2014): every bit of the word has a say in every bit of the answer."""
    word = (word + 0x9E3779B97F4A7C15) & WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & WORD
    return word ^ word >> 31
