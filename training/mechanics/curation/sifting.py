"""Each row of a dataset judged by itself, a part of the rows at a time, each part a file below `checkpoints/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics.curation import minhash, rows
from training.mechanics.curation.filters import sift, told_of
from training.mechanics.curation.overlap import Overlap
from training.mechanics.curation.report import StepReport
from training.recipes.curate import CurateRecipe, Decontamination

AGAINST = ("against", "against_2", "against_3")


def read_against(context: RunContext, bounds: Decontamination) -> Overlap:
    overlap = Overlap(bounds)
    for name in AGAINST:
        if context.has_input(name):
            overlap.add(row for _, row in rows.read(context.input(name)))
    if overlap.num_too_short:
        context.log(
            f"{overlap.num_too_short:,} of {overlap.num_texts:,} texts to be evaluated on have fewer than "
            f"{bounds.shortest} words: they are too short to be looked for."
        )
    return overlap


def sift_parts(context: RunContext, recipe: CurateRecipe, *, overlap: Overlap) -> list[Path]:
    """One file a part below `checkpoints/`; those that are there are not made again. Raises `Stopped`, `Failure`."""
    kind: str = recipe.kind_of_dataset
    given = context.input(kind)
    total = rows.num_rows(given)
    schema = rows.scratch_schema(kind, num_hashes=num_hashes(recipe))
    made: list[Path] = []
    done = 0
    for part in rows.in_parts(given, kind=kind):
        tell(context, "filtering", done, total, unit="rows")
        path = context.checkpoints / f"part-{len(made):06d}.parquet"
        if not path.exists():
            sift_part(context, recipe, part, path=path, schema=schema, overlap=overlap, done=done, total=total)
        made.append(path)
        done += len(part)
        kept = pq.read_metadata(path).num_rows
        context.metric(len(made), passed_filters=kept / len(part))
    tell(context, "filtering", done, total, unit="rows")
    if not made:
        raise Failure("no_rows", "The dataset has no row to curate.")
    return made


def sift_part(
    context: RunContext, recipe: CurateRecipe, part: list[tuple[str, rows.Row]], *, path: Path, schema: Any,
    overlap: Overlap, done: int, total: int,
) -> None:  # fmt: skip
    stay: list[rows.Row] = []
    steps: dict[str, StepReport] = {}
    for kept, told in sift(part, recipe, overlap=overlap, num_hashes=num_hashes(recipe)):
        stay += kept
        for step in told:
            steps.setdefault(step.name, StepReport(step.name, recipe.examples)).add(step.as_json())
        tell(context, "filtering", done + next(iter(steps.values())).given, total, unit="rows")
    rows.write_part(path, stay, schema=schema, report=[step.as_json() for step in steps.values()])


def num_hashes(recipe: CurateRecipe) -> int:
    bounds = recipe.near_duplicates
    return minhash.num_hashes(bounds.bands, bounds.rows) if bounds else 1


def filtered(parts: list[Path], recipe: CurateRecipe) -> dict[str, StepReport]:
    steps = {name: StepReport(name, recipe.examples) for name in told_of(recipe)}
    for path in parts:
        for told in rows.report_of(path):
            steps[told["name"]].add(told)
    return steps


def tell(context: RunContext, phase: str, done: int, total: int, *, unit: str) -> None:
    if context.stop_requested:
        raise Stopped
    context.progress(phase, done, total, unit=unit)
