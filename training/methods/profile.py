"""A dataset's profile: read once from its first row to its last, counted batch by batch, whatever its size.

Not a model's work: no torch is loaded, and nothing is drawn by lot, so the same rows have the same profile.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training import contract
from training.context import RunContext
from training.contract import Failure, Input
from training.mechanics.parts import kept
from training.mechanics.profile import tally
from training.recipes.profile import ProfileRecipe

SPLITS = ("train", "test")


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, ProfileRecipe)
    counts = count_rows(context, context.input("dataset"), batch_rows=recipe.batch_rows)
    profile = tally.profile_of(counts)
    contract.write_atomically(context.output / "report.json", json.dumps(profile, indent=1, ensure_ascii=False))
    metrics = metrics_of(profile)
    context.metric(0, **metrics)
    return metrics


def count_rows(context: RunContext, dataset: Input, *, batch_rows: int) -> tally.Counts:
    files = [
        (split, path) for split in SPLITS for path in sorted(Path(dataset.path, "data").glob(f"{split}-*.parquet"))
    ]
    num_batches = sum(math.ceil(rows_in(path) / batch_rows) for _, path in files)
    if not num_batches:
        raise Failure("no_rows", "The dataset has no row to count.", advice="Choose one with rows.")
    batches = batches_of(files, size=batch_rows)
    at = -1

    def work(places: list[int], tell: Any) -> list[tally.Counts]:
        nonlocal at
        split, rows = "", pa.Table.from_pylist([])
        while at < places[0]:  # those before were counted by an earlier attempt
            at, (split, rows) = at + 1, next(batches)
        return [tally.count(rows.to_pylist(), split=split)]

    total: tally.Counts = {}
    for counts in kept(context, "counting", [[number] for number in range(num_batches)], work, unit="batches"):
        tally.add(total, counts)
    return total


def rows_in(path: Path) -> int:
    """Raises `Failure("bad_dataset")` for a file that is no Parquet."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowInvalid as error:
        raise Failure("bad_dataset", f"{path.name} is no Parquet: {error}") from error


def batches_of(files: list[tuple[str, Path]], *, size: int) -> Iterator[tuple[str, pa.Table]]:
    """Exactly `size` rows each but for the last of a file, wherever its row groups end."""
    for split, path in files:
        held: pa.Table | None = None
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=size):
                more = pa.Table.from_batches([batch])
                held = more if held is None else pa.concat_tables([held, more])
                while held.num_rows >= size:
                    yield split, held.slice(0, size)
                    held = held.slice(size)
        if held is not None and held.num_rows:
            yield split, held


def metrics_of(profile: dict[str, Any]) -> dict[str, float]:
    splits = profile["splits"].values()
    figures = {"rows": profile["num_rows"], "words": sum(split["words"] for split in splits)}
    return {
        **figures,
        "repeated_rows": profile["num_repeated"],
        "rows_with_rough_words": profile["rough"]["rows"],
        "groups_named": len(profile["groups"]),
    }
