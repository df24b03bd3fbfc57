"""Hashes by the million in little memory: sorted runs on disk for what must be exact, arrays of 8 bytes for what is counted."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

HELD = 32 * 2**20  # bytes in memory before they go to disk
FEW = 1 << 16  # records that are one block

Bytes = npt.NDArray[np.bytes_]


class Digests:
    """Records of one width, of which any number is added, and all are given back in order.

    Up to `HELD` bytes stay in memory; more are sorted and written to a file without a name below `folder`.
    """

    def __init__(self, width: int, *, folder: Path) -> None:
        self.width, self.folder = width, folder
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, npt.NDArray[np.int64]]] = []  # where each begins, where each first byte does in it

    def add(self, record: bytes) -> None:
        assert len(record) == self.width
        self._held += record
        if len(self._held) >= HELD:
            self._spill()

    def blocks(self) -> Iterator[list[bytes]]:
        """All records, sorted, in blocks; equal ones stand in the same block."""
        held = self._sorted()
        if not self._runs and len(held) < FEW:
            yield self._apart(held)
            return
        starts = self._starts(held)
        for first in range(256):
            parts = [held[starts[first] : starts[first + 1]], *self._stored(first)]
            block = np.sort(np.concatenate(parts))
            if len(block):
                yield self._apart(block)

    def _apart(self, records: Bytes) -> list[bytes]:
        whole = records.tobytes()  # not `tolist`: numpy takes the zeros from the end of its strings
        return [whole[at : at + self.width] for at in range(0, len(whole), self.width)]

    def _sorted(self) -> Bytes:
        return np.sort(np.frombuffer(bytes(self._held), dtype=f"S{self.width}"))

    def _starts(self, records: Bytes) -> npt.NDArray[np.int64]:
        firsts = records.view(np.uint8).reshape(-1, self.width)[:, 0]
        return np.searchsorted(firsts, np.arange(257)).astype(np.int64)

    def _spill(self) -> None:
        records = self._sorted()
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115  (it lives as long as this object)
        self._runs.append((self._file.seek(0, 2), self._starts(records)))
        self._file.write(records.tobytes())
        self._held.clear()

    def _stored(self, first: int) -> Iterator[Bytes]:
        for begin, starts in self._runs:
            assert self._file is not None
            self._file.seek(begin + int(starts[first]) * self.width)
            read = self._file.read(int(starts[first + 1] - starts[first]) * self.width)
            yield np.frombuffer(read, dtype=f"S{self.width}")


class Counts:
    """How often each of many keys was met: 8 bytes a key while they are met, and 12 for each that is kept."""

    def __init__(self) -> None:
        self._met = array("Q")
        self._keys: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._counts: npt.NDArray[np.int32] = np.zeros(0, np.int32)

    def add(self, key: int) -> None:
        self._met.append(key)

    def close(self, *, at_least: int = 1) -> None:
        """No key will be added any more; those that were met less often are forgotten."""
        met = np.frombuffer(self._met, dtype=np.uint64)
        met.sort()  # in place: no second copy
        begins = np.flatnonzero(np.concatenate([[True], met[1:] != met[:-1]])) if len(met) else np.zeros(0, np.int64)
        counts = np.diff(np.append(begins, len(met))).astype(np.int32)
        self._keys, self._counts = met[begins[counts >= at_least]], counts[counts >= at_least]
        del met, begins, counts
        self._met = array("Q")

    def __len__(self) -> int:
        return len(self._keys)

    def place(self, key: int) -> int | None:
        """The number of a key among those that are kept."""
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        return at if at < len(self._keys) and int(self._keys[at]) == key else None

    def of(self, key: int) -> int:
        at = self.place(key)
        return 0 if at is None else int(self._counts[at])


def short(sha256: str) -> int:
    """The first 8 bytes of a hash: of 20 million different ones, two are the same once in 100,000 times."""
    return int(sha256[:16], 16)
