"""Which rows are the same as another: equal ones by a hash, near ones by bands; of each group the first stays.

Rows are numbers here, in the order in which they are preferred: what is held out first. A few dozen bytes a row are in
memory (the keys of some bands, an order, a label); signatures are read from a file, in the order of rows.

Rows that meet in a band are compared with the first and the next of those that share its key. Who is alike in that way
is one group, and so are groups that share a row. What stays is looked through again until nothing more leaves: so
curating what was curated changes nothing.

Legend: N rows, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.mechanics.curation import minhash
from training.mechanics.curation.words import U64, Ints

BANDS_AT_ONCE = 2
ROWS_AT_ONCE = 1 << 15
PAIRS_AT_ONCE = 1 << 14
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Signatures:
    """Of all rows, in a file: one after the other."""

    path: Path
    bands: int
    rows: int

    def of(self, places: Ints) -> minhash.U16:
        """Those of some rows. The map is given up at once, so that what was read does not stay in memory."""
        count = minhash.num_hashes(self.bands, self.rows)
        table = np.memmap(self.path, dtype=np.uint16, mode="r").reshape(-1, count)
        return np.array(table[places])


def first_of_equals(keys_N: U64) -> Ints:
    """For each row the first with the same key."""
    order = np.argsort(keys_N, kind="stable")
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = keys_N[order[1:]] != keys_N[order[:-1]]
    firsts = np.empty(len(order), dtype=np.int64)
    firsts[order] = order[begins][np.cumsum(begins) - 1]
    return firsts


def first_of_alike(signatures: Signatures, members: Ints, *, threshold: float, tell: Tell) -> Ints:
    """For each of the members (numbers of rows, the preferred first) the place among them of the one that stays."""
    stays = np.arange(len(members))
    left = stays
    while True:
        labels = one_look(signatures, members[left], threshold=threshold, tell=tell)
        if (labels == np.arange(len(left))).all():
            return stays
        moved = np.arange(len(members))
        moved[left] = left[labels]
        stays = moved[stays]
        left = left[labels == np.arange(len(left))]


def one_look(signatures: Signatures, members: Ints, *, threshold: float, tell: Tell) -> Ints:
    labels = np.arange(len(members))
    for first in range(0, signatures.bands, BANDS_AT_ONCE):
        tell(first, signatures.bands)
        together = range(first, min(first + BANDS_AT_ONCE, signatures.bands))
        for keys_N in keys_of(signatures, members, bands=together):
            one_P, other_P = meeting(keys_N)
            apart = labels[one_P] != labels[other_P]
            one_P, other_P = one_P[apart], other_P[apart]
            for start in range(0, len(one_P), PAIRS_AT_ONCE):
                one, other = one_P[start : start + PAIRS_AT_ONCE], other_P[start : start + PAIRS_AT_ONCE]
                alike = minhash.similarity(signatures.of(members[one]), signatures.of(members[other])) >= threshold
                labels = united(labels, one[alike], other[alike])
    tell(signatures.bands, signatures.bands)
    return labels


def keys_of(signatures: Signatures, members: Ints, *, bands: range) -> list[U64]:
    keys = [np.empty(len(members), dtype=np.uint64) for _ in bands]
    for start in range(0, len(members), ROWS_AT_ONCE):
        part = signatures.of(members[start : start + ROWS_AT_ONCE])
        for keys_N, band in zip(keys, bands, strict=True):
            keys_N[start : start + ROWS_AT_ONCE] = minhash.band_keys(part, band=band, size=signatures.rows)
    return keys


def meeting(keys_N: U64) -> tuple[Ints, Ints]:
    """Pairs of rows that share a key: each with the one before it, and with the first."""
    order = np.argsort(keys_N, kind="stable")
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = keys_N[order[1:]] != keys_N[order[:-1]]
    follows = np.flatnonzero(~begins)
    group = np.flatnonzero(begins)[np.cumsum(begins)[follows] - 1]
    far = group < follows - 1
    one = np.concatenate([order[follows - 1], order[group[far]]])
    return one, np.concatenate([order[follows], order[follows[far]]])


def united(labels_N: Ints, one_P: Ints, other_P: Ints) -> Ints:
    """The labels with each pair in one group; a group's label is its first row."""
    labels_N = labels_N.copy() if len(one_P) else labels_N
    while len(one_P):
        low = np.minimum(labels_N[one_P], labels_N[other_P])
        high = np.maximum(labels_N[one_P], labels_N[other_P])
        apart = low != high
        one_P, other_P = one_P[apart], other_P[apart]
        np.minimum.at(labels_N, high[apart], low[apart])
        while not np.array_equal(jumped := labels_N[labels_N], labels_N):
            labels_N = jumped
    return labels_N
