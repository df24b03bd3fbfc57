"""Which rows are the same as another: equal ones by a hash, near ones by bands; of each group the first stays.

Rows are numbers here, in the order in which they are preferred: what is held out first. The arrays of a
look are about forty bytes a row (the keys of a band, an order, a label), with places of 32 bits: two thousand million
rows at most. Signatures are read from a file, in the order of rows.

Rows that meet in a band are compared with the first and the next of those that share its key. Who is alike in that way
is one group, and so are groups that share a row. What stays is looked through again until nothing more leaves: so
curating what was curated changes nothing.

Legend: N rows, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.mechanics.curation import minhash
from training.mechanics.curation.words import U64

Places = npt.NDArray[np.int32]
ROWS_AT_ONCE = 1 << 15
FAR = 8  # rows between two that are read in one go
PAIRS_AT_ONCE = 1 << 14
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Signatures:
    """Of all rows, in a file: one after the other."""

    path: Path
    bands: int
    rows: int

    def of(self, places: Places) -> minhash.U16:
        """Those of some rows, read span by span. (A map of the file would count what lies around them as memory.)"""
        count = minhash.num_hashes(self.bands, self.rows)
        found = np.empty((len(places), count), dtype=np.uint16)
        steps = np.diff(places, prepend=-1)
        is_far = (steps < 1) | (steps > FAR)
        is_far[:1] = True
        begins = np.flatnonzero(is_far).tolist()
        with self.path.open("rb") as file:
            for begin, end in pairwise([*begins, len(places)]):
                first = int(places[begin])
                span = np.empty((int(places[end - 1]) - first + 1, count), dtype=np.uint16)
                file.seek(first * span.itemsize * count)
                file.readinto(span.data)
                found[begin:end] = span[places[begin:end] - first]
        return found


def first_of_equals(keys_N: U64) -> Places:
    """For each row the first with the same key."""
    order, begins = in_groups(keys_N)
    group = np.cumsum(begins, dtype=np.int32)
    group -= 1
    firsts = np.empty(len(order), dtype=np.int32)
    firsts[order] = order[begins][group]
    return firsts


def in_groups(keys_N: U64) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Rows with equal keys side by side, in their own order; and where each group begins."""
    order = np.argsort(keys_N, kind="stable").astype(np.int32)
    begins = np.ones(len(order), dtype=bool)
    in_order = keys_N[order]
    np.not_equal(in_order[1:], in_order[:-1], out=begins[1:])
    return order, begins


def first_of_alike(signatures: Signatures, members: Places, *, threshold: float, tell: Tell) -> Places:
    """For each of the members (numbers of rows, the preferred first) the place among them of the one that stays."""
    stays = left = np.arange(len(members), dtype=np.int32)
    while True:
        labels = one_look(signatures, members[left], threshold=threshold, tell=tell)
        remains = labels == np.arange(len(left), dtype=np.int32)
        if remains.all():
            return stays
        moved = np.arange(len(members), dtype=np.int32)
        moved[left] = left[labels]
        stays = moved[stays]
        left = left[remains]


def one_look(signatures: Signatures, members: Places, *, threshold: float, tell: Tell) -> Places:
    labels = np.arange(len(members), dtype=np.int32)
    for band in range(signatures.bands):
        tell(band, signatures.bands)
        one_P, other_P = meeting(keys_of(signatures, members, band=band))
        apart = labels[one_P] != labels[other_P]
        one_P, other_P = one_P[apart], other_P[apart]
        for start in range(0, len(one_P), PAIRS_AT_ONCE):
            one, other = one_P[start : start + PAIRS_AT_ONCE], other_P[start : start + PAIRS_AT_ONCE]
            alike = minhash.similarity(signatures.of(members[one]), signatures.of(members[other])) >= threshold
            labels = united(labels, one[alike], other[alike])
    tell(signatures.bands, signatures.bands)
    return labels


def keys_of(signatures: Signatures, members: Places, *, band: int) -> U64:
    keys_N = np.empty(len(members), dtype=np.uint64)
    for start in range(0, len(members), ROWS_AT_ONCE):
        part = signatures.of(members[start : start + ROWS_AT_ONCE])
        keys_N[start : start + ROWS_AT_ONCE] = minhash.band_keys(part, band=band, size=signatures.rows)
    return keys_N


def meeting(keys_N: U64) -> tuple[Places, Places]:
    """Pairs of rows that share a key: each with the one before it, and with the first."""
    order, begins = in_groups(keys_N)
    follows = np.flatnonzero(~begins)
    group = np.flatnonzero(begins)[np.cumsum(begins, dtype=np.int32)[follows] - 1]
    far = group < follows - 1
    one = np.concatenate([order[follows - 1], order[group[far]]])
    return one, np.concatenate([order[follows], order[follows[far]]])


def united(labels_N: Places, one_P: Places, other_P: Places) -> Places:
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
