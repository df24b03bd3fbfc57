"""The texts of a corpus, read a few at a time from its Parquet files, in an order by lot or as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.contract import Failure, Input

BLOCK = 2**16  # texts that change places with each other, at most
BLOCK_BYTES = 2**26
BATCH = 1024


def blocks(given: Input, *, split: str, seed: int | None = None) -> Iterator[list[str]]:
    """All texts of a split, in blocks that fit into memory whatever the corpus: row groups by lot, and the texts of each
    block by lot; all as they stand without a seed. Raises `Failure("bad_dataset")`.

    Distant texts of one row group never meet in a block. The rows that a model reads are shuffled over the whole stream.
    """
    groups = [
        (path, group)
        for path in sorted(Path(given.path, "data").glob(f"{split}-*.parquet"))
        for group in range(num_groups(path, given))
    ]
    if seed is None:
        order, lot = np.arange(len(groups)), None
    else:
        order, lot = np.random.default_rng([seed, 1]).permutation(len(groups)), np.random.default_rng(seed)
    for place in order:
        path, group = groups[place]
        for block in blocks_of(path, group, given):
            yield block if lot is None else [block[i] for i in lot.permutation(len(block))]


def blocks_of(path: Path, group: int, given: Input) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    try:
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            for batch in file.iter_batches(BATCH, row_groups=[group], columns=["text"]):
                if block and (len(block) + len(batch) > BLOCK or size + batch.nbytes > BLOCK_BYTES):
                    yield block
                    block, size = [], 0
                block += batch.column(0).to_pylist()
                size += batch.nbytes
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise unreadable(path, given, error) from error
    if block:
        yield block


def num_groups(path: Path, given: Input) -> int:
    try:
        with pq.ParquetFile(path) as file:
            return int(file.num_row_groups)
    except pa.ArrowInvalid as error:
        raise unreadable(path, given, error) from error


def num_texts(given: Input, *, split: str) -> int:
    paths = sorted(Path(given.path, "data").glob(f"{split}-*.parquet"))
    return sum(pq.read_metadata(path).num_rows for path in paths)


def first_texts(given: Input, *, split: str, count: int) -> list[str]:
    found: list[str] = []
    for block in blocks(given, split=split):
        found += block[: count - len(found)]
        if len(found) == count:
            break
    return found


def unreadable(path: Path, given: Input, error: Exception) -> Failure:
    return Failure("bad_dataset", f"{path.name} of {given.name or 'the dataset'} is no Parquet with texts: {error}")
