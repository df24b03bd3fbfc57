"""Texts that are nearly the same: found by minima of hashes (Broder 1997), then compared for what they really share.

Two texts are alike where at least `ALIKE` of the runs of three words in either are in both.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ALIKE = 0.8
RUN = 3  # words
HASHES, BANDS = 64, 16  # texts that share 0.8 meet in one band of four with a chance of 0.9998
PRIME = (1 << 31) - 1

Runs = frozenset[int]
WORD = re.compile(r"\w+")


def normal(text: str) -> str:
    """Without case, blanks and punctuation: what is equal so is the same text to a reader."""
    return " ".join(WORD.findall(text.lower())) or " ".join(text.split())


def runs_of(text: str) -> Runs:
    words = normal(text).split(" ")
    return frozenset(zlib.crc32(" ".join(words[at : at + RUN]).encode()) for at in range(max(1, len(words) - RUN + 1)))


def first_alike(texts: Sequence[str], others: Sequence[str] | None = None) -> list[int | None]:
    """For each text the place of the first one in `others` that is alike; without `others`, of an earlier text."""
    own = [runs_of(text) for text in texts]
    against = own if others is None else [runs_of(text) for text in others]
    tables: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    found: list[int | None] = []
    if others is not None:
        for place, runs in enumerate(against):
            for band in bands_of(runs):
                tables[band].append(place)
    for place, runs in enumerate(own):
        bands = bands_of(runs)
        near = sorted({other for band in bands for other in tables[band]})
        found.append(next((other for other in near if shared(runs, against[other]) >= ALIKE), None))
        # Only the first of texts that are alike is kept to compare with: a thousand copies cost no million looks.
        if others is None and found[-1] is None:
            for band in bands:
                tables[band].append(place)
    return found


def shared(one: Runs, other: Runs) -> float:
    return len(one & other) / len(one | other)


def bands_of(runs: Runs) -> list[tuple[int, bytes]]:
    values = np.fromiter(runs, dtype=np.uint64, count=len(runs)) % PRIME
    minima: npt.NDArray[np.uint64] = ((values[:, None] * FACTORS + SHIFTS) % PRIME).min(axis=0)
    return [(band, part.tobytes()) for band, part in enumerate(minima.reshape(BANDS, -1))]


LOT = np.random.default_rng(0)
FACTORS = LOT.integers(1, PRIME, HASHES, dtype=np.uint64)
SHIFTS = LOT.integers(0, PRIME, HASHES, dtype=np.uint64)
