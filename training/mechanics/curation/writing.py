"""The rows that stay, written by split, and what the report tells of those that left beside another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from training.context import RunContext
from training.mechanics.curation import rows
from training.mechanics.curation.choosing import REASONS, STAYS, Choice
from training.mechanics.curation.report import SHOWN, StepReport
from training.mechanics.curation.sifting import tell
from training.recipes.curate import CurateRecipe


def write(
    context: RunContext, recipe: CurateRecipe, parts: list[Path], *, choice: Choice, steps: dict[str, StepReport]
) -> Counter[str]:
    """The rows that stay, by split; and what the last steps did, with the words of the rows that are shown."""
    passed = len(choice.verdicts)
    for name in ("exact_duplicates", "held_out", "near_duplicates"):
        if name == "held_out" or getattr(recipe, name):
            steps[name] = StepReport(name, recipe.examples, given=passed)
            codes = [code for code, (step, _) in REASONS.items() if step == name]
            passed -= int(np.isin(choice.verdicts, codes).sum())
    for code, (name, reason) in REASONS.items():
        if (count := int((choice.verdicts == code).sum())) and name in steps:
            steps[name].reasons[reason] = count
    shown = set(choice.like) | set(choice.like.values())
    words: dict[int, dict[str, str]] = {}
    written: Counter[str] = Counter({"train": 0, "test": 0})
    (context.output / "data").mkdir(exist_ok=True)
    schema = rows.SCHEMAS[recipe.kind_of_dataset]
    writers: dict[str, pq.ParquetWriter] = {}
    try:
        for first, table in tables(context, parts, schema.names, total=len(choice.verdicts)):
            here = slice(first, first + len(table))
            for place in [place for place in shown if first <= place < first + len(table)]:
                row = table.slice(place - first, 1).to_pylist()[0]
                words[place] = {"id": row["id"], "text": rows.text_of(row, kind=recipe.kind_of_dataset)[:SHOWN]}
            for split, wanted in (("train", False), ("test", True)):
                stay = (choice.verdicts[here] == STAYS) & (choice.held_out[here] == wanted)
                if stay.any():
                    if split not in writers:
                        path = context.output / f"data/{split}-00000-of-00001.parquet"
                        writers[split] = pq.ParquetWriter(path, schema, compression="zstd")
                    kept = table.filter(stay).replace_schema_metadata()
                    writers[split].write_table(kept)
                    written[split] += len(kept)
    finally:
        for writer in writers.values():
            writer.close()
    for place, other in choice.like.items():
        name, reason = REASONS[int(choice.verdicts[place])]
        told = {**words[place], "reason": reason, "like": words[other]["id"], "like_text": words[other]["text"]}
        steps[name].examples.append(told)
    return written


def tables(context: RunContext, parts: list[Path], columns: list[str], *, total: int) -> Iterator[tuple[int, Any]]:
    first = 0
    for path in parts:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns)
                tell(context, "writing", first, total, unit="rows")
                yield first, table
                first += len(table)
    tell(context, "writing", total, total, unit="rows")
