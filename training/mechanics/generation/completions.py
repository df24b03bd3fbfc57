"""Completions for people to rank, as rows of a dataset, wherever they came from."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt_id", pa.string()),
        ("index", pa.int32()),
        ("text", pa.string()),
        ("seed", pa.int64()),
        ("temperature", pa.float64()),
        ("top_p", pa.float64()),
        ("num_tokens", pa.int32()),  # null, as `logprob`, where an endpoint did not say
        ("ended", pa.bool_()),
        ("logprob", pa.float64()),
    ]
)


def prompt_rows(context: RunContext) -> list[dict[str, Any]]:
    """Of both splits. Raises `Failure("no_rows")`."""
    rows = [row for split in ("train", "test") for row in datasets.read_rows(context.input("prompts"), split=split)]
    if not rows:
        raise Failure("no_rows", "The dataset has no prompt to answer.", advice="Add prompts, then start again.")
    return rows


def completion_id(run: str, prompt_id: str, index: int) -> str:
    """Of this run and place: the same after a resume."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {prompt_id} {index}"))


def write(output: Path, rows: list[dict[str, Any]], *, card: str) -> None:
    (output / "data").mkdir(exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table, output / "data/train-00000-of-00001.parquet")
    (output / "README.md").write_text(f"# Completions\n\n{card}\n")
