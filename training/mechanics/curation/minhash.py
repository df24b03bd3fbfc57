"""MinHash signatures (Broder 1997) and the bands by which near duplicates find each other (Leskovec et al. 2014, ch. 3).

Two texts are as alike as the runs of words that they share: |A and B| / |A or B| = s. Each of the hashes agrees with
probability s. A band is a few of them together; with b bands of r hashes, two texts meet in at least one band with
probability 1 - (1 - s**r)**b, the S-curve. Who meets is compared by the share of all hashes that agree.

16 bits of each hash are kept (b-bit minwise hashing, Li and Koenig 2010): two that differ agree by chance once in 65,536.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.mechanics.curation.words import U64, Ints, Words, runs_of

U16 = npt.NDArray[np.uint16]
AT_ONCE = 1 << 15  # runs hashed in one go: what the processor's cache holds
SEED = 20_260_101


def num_hashes(bands: int, rows: int) -> int:
    return bands * rows


def s_curve(similarity: float, *, bands: int, rows: int) -> float:
    """The probability that two texts of this similarity are compared at all.

    >>> round(s_curve(0.5, bands=42, rows=3), 3)
    0.996
    """
    return float(1 - (1 - similarity**rows) ** bands)


def signatures(words: Words, *, ngram: int, count: int) -> U16:
    """One row of `count` numbers a text. A text without a word has the signature of zeros."""
    hashes, places = runs_of(words, ngram, short=True)
    num_texts = len(words.begins_D) - 1
    found = np.zeros((num_texts, count), dtype=np.uint16)
    begins = np.searchsorted(places, words.begins_D)
    has_words = np.flatnonzero(np.diff(begins))
    folded = (hashes >> np.uint64(32)).astype(np.uint32)
    add, times = coefficients(count)
    for first, last in blocks(begins, has_words):
        texts = has_words[first:last]
        start, end = begins[texts[0]], begins[texts[-1] + 1]
        part, offsets = folded[start:end], begins[texts] - start
        for number in range(count):
            # x ^ a, times an odd number, is a permutation of 32 bits; two rounds of it are mixed well enough.
            shuffled = (part ^ add[number]) * times[number]
            shuffled ^= shuffled >> np.uint32(15)
            shuffled *= times[number]
            found[texts, number] = np.minimum.reduceat(shuffled, offsets) & np.uint32(0xFFFF)
    return found


def blocks(begins: Ints, has_words: Ints) -> list[tuple[int, int]]:
    """Texts in groups of about `AT_ONCE` runs; one that is longer is a group by itself."""
    found, first = [], 0
    sizes = np.diff(begins)[has_words]
    total = 0
    for place, size in enumerate(sizes.tolist()):
        if total and total + size > AT_ONCE:
            found.append((first, place))
            first, total = place, 0
        total += size
    if len(sizes):
        found.append((first, len(sizes)))
    return found


def coefficients(count: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    lot = np.random.Generator(np.random.PCG64(SEED))
    drawn = lot.integers(0, 2**32, size=(2, count), dtype=np.uint32)
    return drawn[0], drawn[1] | np.uint32(1)


def band_keys(rows: U16, *, band: int, size: int) -> U64:
    """What texts that agree in all hashes of a band share."""
    keys = np.zeros(len(rows), dtype=np.uint64)
    for number in range(band * size, (band + 1) * size):
        keys = (keys * np.uint64(0x9E3779B97F4A7C15)) ^ rows[:, number]
    return keys


def similarity(one: U16, other: U16) -> npt.NDArray[np.float64]:
    """Of rows with rows: the share of hashes that agree, an estimate of s with a deviation of sqrt(s (1 - s) / hashes)."""
    return np.asarray((one == other).mean(axis=1))
