"""Runs of words that evaluation sets hold, and who shares one: Brown et al. 2020, appendix C, with 13 words.

As there, case and punctuation do not count, and a text that is shorter than a run is one run by itself from 8 words on.
Other than there, a row that shares a run leaves as a whole (GPT-3 cut 200 characters around it), and however many rows
share it. Shorter texts cannot be looked for: they would be met everywhere; they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from training.mechanics.curation.words import U64, Words, runs_of, words_of
from training.recipes.curate import Decontamination

COLUMNS = ("text", "messages", "prompt", "chosen", "rejected")
AT_ONCE = 1000  # texts


@dataclass(slots=True)
class Overlap:
    """What rows must not share, by the length of the run: sorted hashes, 8 bytes each."""

    bounds: Decontamination
    hashes: dict[int, U64] = field(default_factory=dict)
    num_texts: int = 0
    num_too_short: int = 0

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        texts: list[str] = []
        for row in rows:
            texts += texts_of(row)
            if len(texts) >= AT_ONCE:
                self.add_texts(texts)
                texts = []
        self.add_texts(texts)

    def add_texts(self, texts: list[str]) -> None:
        words = words_of(texts)
        self.num_texts += len(texts)
        self.num_too_short += int((words.counts_D < self.bounds.shortest).sum())
        for n in range(self.bounds.shortest, self.bounds.ngram + 1):
            found, places = runs_of(words, n)
            if n < self.bounds.ngram:  # of texts that are exactly as long
                text_R = np.searchsorted(words.begins_D, places, side="right") - 1
                found = found[words.counts_D[text_R] == n]
            if len(found):
                known = self.hashes.get(n, np.zeros(0, np.uint64))
                self.hashes[n] = np.union1d(known, found)

    def shared_by(self, words: Words) -> npt.NDArray[np.bool_]:
        """Whether each text shares a run."""
        shared = np.zeros(len(words.begins_D) - 1, dtype=bool)
        for n, known in self.hashes.items():
            found, places = runs_of(words, n)
            places = places[known[np.searchsorted(known, found).clip(max=len(known) - 1)] == found]
            shared[np.searchsorted(words.begins_D, places, side="right") - 1] = True
        return shared

    @property
    def num_runs(self) -> int:
        return sum(map(len, self.hashes.values()))


def texts_of(row: dict[str, Any]) -> Iterator[str]:
    """All that a row says, of whatever kind its dataset is: each message is a text."""
    for name in COLUMNS:
        value = row.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (message["content"] for message in value)
