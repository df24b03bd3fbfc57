"""Texts that are nearly the same, among those that memory holds: met by MinHash, then compared for what they really share.

Two texts are alike where at least `ALIKE` of the runs of three words in either are in both.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from training.mechanics.curation import minhash
from training.mechanics.curation.words import runs_of, words_of

ALIKE = 0.8
RUN = 3  # words
BANDS, ROWS = 16, 4  # texts that share 0.8 meet in one band of four with a chance of 0.9998
AT_ONCE = 256  # texts whose words are hashed in one call

Runs = frozenset[int]
Bands = list[tuple[int, int]]
WORD = re.compile(r"\w+")


def normal(text: str) -> str:
    """Without case, blanks and punctuation: what is equal so is the same text to a reader."""
    return " ".join(WORD.findall(text.lower())) or " ".join(text.split())


def first_alike(texts: Sequence[str], others: Sequence[str] | None = None) -> list[int | None]:
    """For each text the place of the first one in `others` that is alike; without `others`, of an earlier text."""
    own = hashed(texts)
    against = own if others is None else hashed(others)
    tables: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    found: list[int | None] = []
    if others is not None:
        for place, (_, bands) in enumerate(against):
            for band in bands:
                tables[band].append(place)
    for place, (runs, bands) in enumerate(own):
        near = sorted({other for band in bands for other in tables[band]})
        found.append(next((other for other in near if shared(runs, against[other][0]) >= ALIKE), None))
        # Only the first of texts that are alike is kept to compare with: a thousand copies cost no million looks.
        if others is None and found[-1] is None:
            for band in bands:
                tables[band].append(place)
    return found


def shared(one: Runs, other: Runs) -> float:
    return len(one & other) / len(one | other)


def hashed(texts: Sequence[str]) -> list[tuple[Runs, Bands]]:
    """The runs of words of each text, and the bands in which it meets others."""
    found: list[tuple[Runs, Bands]] = []
    for first in range(0, len(texts), AT_ONCE):
        part = texts[first : first + AT_ONCE]
        words = words_of(part)
        runs, places = runs_of(words, RUN, short=True)
        signed = minhash.signatures(words, ngram=RUN, count=minhash.num_hashes(BANDS, ROWS))
        keys = [minhash.band_keys(signed, band=band, size=ROWS).tolist() for band in range(BANDS)]
        of_texts = np.split(runs, np.searchsorted(places, words.begins_D[1:-1]))
        for place, (text, own) in enumerate(zip(part, of_texts, strict=True)):
            # A text without a word is alike to its equals alone.
            bands = [(band, keys[band][place]) for band in range(BANDS)]
            found.append((frozenset(own.tolist()) or frozenset([zlib.crc32(normal(text).encode())]), bands))
    return found
