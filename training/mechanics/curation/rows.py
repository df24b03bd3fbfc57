"""Rows on their way through: read in parts, with what later steps ask of each, and written by split.

A part is one Parquet file below `checkpoints/`: the rows that passed the filters, a few numbers beside each, and in the
file's metadata what the filters did. It appears by rename, so that a run that was killed does again the part it was in.
The hashes by which a split is chosen are those of the registry (`platform/registry/services/schemas.py`); a test holds
the two together.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.contract import Failure, Input

Row = dict[str, Any]
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMAS = {
    "corpus": pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string())]),
    "instructions": pa.schema([("id", pa.string()), ("messages", MESSAGES)]),
}
SPLITS = ("test", "train")  # what is held out is met first: of two that are alike, it stays
HELD_OUT = 0.1
PART_ROWS, PART_CHARACTERS = 16_384, 16_000_000
READ_AT_ONCE = 256  # rows: a book may be one
REPORT = b"curation"


def num_rows(given: Input) -> int:
    return sum(pq.read_metadata(path).num_rows for split in SPLITS for path in files_of(given, split))


def files_of(given: Input, split: str) -> list[Path]:
    return sorted(Path(given.path, "data").glob(f"{split}-*.parquet"))


def read(given: Input) -> Iterator[tuple[str, Row]]:
    """Every row with its split, what is held out first."""
    for split in SPLITS:
        yield from ((split, row) for row in read_split(given, split))


def read_split(given: Input, split: str) -> Iterator[Row]:
    """A few rows in memory at a time. Raises `Failure("bad_dataset")`."""
    for path in files_of(given, split):
        try:
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
                for batch in file.iter_batches(batch_size=READ_AT_ONCE):
                    yield from batch.to_pylist()
        except pa.ArrowInvalid as error:
            raise Failure(
                "bad_dataset", f"{path.name} of {given.name or 'the dataset'} is no Parquet: {error}"
            ) from error


def in_parts(given: Input, *, kind: str) -> Iterator[list[tuple[str, Row]]]:
    """The same parts at every start."""
    part: list[tuple[str, Row]] = []
    size = 0
    for split, row in read(given):
        part.append((split, row))
        size += len(text_of(row, kind=kind))
        if len(part) >= PART_ROWS or size >= PART_CHARACTERS:
            yield part
            part, size = [], 0
    if part:
        yield part


def text_of(row: Row, *, kind: str) -> str:
    """All that a row says: the text that filters and duplicates go by."""
    if kind == "corpus":
        text: str = row["text"]
        return text
    return "\n\n".join(message["content"] for message in row["messages"])


def with_texts(row: Row, change: Callable[[str], str], *, kind: str) -> Row:
    if kind == "corpus":
        return {**row, "text": change(row["text"])}
    return {**row, "messages": [{"role": m["role"], "content": change(m["content"])} for m in row["messages"]]}


def prompt_digest(row: Row, *, kind: str) -> bytes:
    """Of what may not stand in two splits: a corpus's text, a conversation up to the first answer."""
    if kind == "corpus":
        return hashlib.sha256(row["text"].encode()).digest()
    roles = [message["role"] for message in row["messages"]]
    return conversation_digest(row["messages"][: roles.index("assistant")])


def content_digest(row: Row, *, kind: str) -> bytes:
    """Of all that makes two rows equal: everything but their names and sources."""
    return prompt_digest(row, kind=kind) if kind == "corpus" else conversation_digest(row["messages"])


def conversation_digest(messages: list[dict[str, str]]) -> bytes:
    said = [[message["role"], message["content"]] for message in messages]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()).digest()


def is_held_out(digest: bytes) -> bool:
    return int.from_bytes(digest[:4], "big") < HELD_OUT * 2**32


def scratch_schema(kind: str, *, num_hashes: int) -> pa.Schema:
    beside = [
        ("_given_held_out", pa.bool_()), ("_content_held_out", pa.bool_()), ("_content", pa.uint64()),
        ("_prompt", pa.uint64()), ("_is_compared", pa.bool_()), ("_signature", pa.binary(2 * num_hashes)),
    ]  # fmt: skip
    return pa.schema([*SCHEMAS[kind], *(pa.field(*column) for column in beside)])


def write_part(path: Path, rows: list[Row], *, schema: pa.Schema, report: list[dict[str, Any]]) -> None:
    stage = path.with_suffix(".stage")
    table = pa.Table.from_pylist(rows, schema=schema.with_metadata({REPORT: json.dumps(report)}))
    pq.write_table(table, stage, compression="zstd", row_group_size=1024)
    with stage.open("rb") as file:
        os.fsync(file.fileno())
    stage.rename(path)


def report_of(path: Path) -> list[dict[str, Any]]:
    report: list[dict[str, Any]] = json.loads(pq.read_schema(path).metadata[REPORT])
    return report


def write_card(output: Path, card: str) -> None:
    (output / "README.md").write_text(f"# Curated rows\n\n{card}\n", encoding="utf-8")
