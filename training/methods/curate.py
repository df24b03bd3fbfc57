"""Curating: a corpus or instructions in, the rows worth learning from out, and a report of what was dropped and why.

Every row is mended, freed of personal data and judged by itself (`mechanics/curation/filters.py`), then against all
others: of equal rows one stays; what is held out leaves training, with whatever is almost the same (MinHash, Broder 1997).
Of two that are alike, the one that is held out stays, and else the earlier one.

Rows are read in parts of which each is a file below `checkpoints/`, so a run of any size holds one part and a few dozen
bytes a row in memory, and one that was stopped goes on with the next part. What is kept is a function of the rows and the
recipe alone, in the order of the rows; curating again, by the same recipe, changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from training import contract
from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics.curation import minhash, rows
from training.mechanics.curation.duplicates import Signatures, first_of_alike, first_of_equals
from training.mechanics.curation.filters import sift, told_of
from training.mechanics.curation.language import refuse_unknown
from training.mechanics.curation.overlap import Overlap
from training.mechanics.curation.report import SHOWN, StepReport
from training.recipes.curate import CurateRecipe, Decontamination

REPORT = "curation.json"
AGAINST = ("against", "against_2", "against_3")
STAYS, EQUAL, EQUAL_HELD_OUT, PROMPT_HELD_OUT, NEAR, NEAR_HELD_OUT = range(6)
REASONS = {
    EQUAL: ("exact_duplicates", "equal to an earlier row"),
    EQUAL_HELD_OUT: ("exact_duplicates", "equal to a held-out row"),
    PROMPT_HELD_OUT: ("held_out", "its prompt is held out"),
    NEAR: ("near_duplicates", "almost equal to an earlier row"),
    NEAR_HELD_OUT: ("near_duplicates", "almost equal to a held-out row"),
}


@dataclass(slots=True)
class Choice:
    """What becomes of each row that passed the filters: N numbers each."""

    held_out: npt.NDArray[np.bool_]
    verdicts: npt.NDArray[np.uint8]
    like: dict[int, int] = field(default_factory=dict)
    """Of the rows that are shown: the row for which it left."""


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, CurateRecipe)
    if lacking := recipe.lacks(context.spec.inputs):
        raise Failure("no_input", lacking)
    if recipe.language:
        refuse_unknown(recipe.language.keep)
    overlap = read_against(context, recipe.decontamination or Decontamination())
    parts = sift_parts(context, recipe, overlap=overlap)
    steps = filtered(parts, recipe)
    choice = choose(context, recipe, parts)
    written = write(context, recipe, parts, choice=choice, steps=steps)
    given = next(iter(steps.values())).given
    kept = sum(written.values())
    report = {
        "version": 1,
        "kind": recipe.kind_of_dataset,
        "rows": {"given": given, "kept": kept, "train": written["train"], "test": written["test"]},
        "steps": [step.as_json() for step in steps.values()],
        "recipe": recipe.model_dump(mode="json"),
        "against": {"datasets": [context.input(name).name for name in AGAINST if context.has_input(name)],
                    "texts": overlap.num_texts, "too_short": overlap.num_too_short, "runs": overlap.num_runs},
        "s_curve": s_curve(recipe),
    }  # fmt: skip
    contract.write_atomically(context.output / REPORT, json.dumps(report, indent=1, ensure_ascii=False))
    rows.write_card(context.output, card_of(context, steps, given=given, kept=kept))
    metrics = {"rows_given": given, "rows_kept": kept, "kept_share": kept / given, "test_rows": written["test"]}
    metrics |= {f"dropped_{name}": step.dropped for name, step in steps.items()}
    context.metric(len(parts), **metrics)
    return metrics


def tell(context: RunContext, phase: str, done: int, total: int, *, unit: str) -> None:
    if context.stop_requested:
        raise Stopped
    context.progress(phase, done, total, unit=unit)


# Each row by itself


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


# Each row beside all others


def choose(context: RunContext, recipe: CurateRecipe, parts: list[Path]) -> Choice:
    held_out = held_out_of(recipe, parts)
    if not len(held_out):
        raise Failure(
            "nothing_left", "No row passed the filters.", advice="Look at the report's examples, and widen a bound."
        )
    choice = Choice(held_out, np.zeros(len(held_out), dtype=np.uint8))
    preferred = np.argsort(~held_out, kind="stable")  # rows in the order in which they may stay
    if recipe.exact_duplicates:
        firsts = preferred[first_of_equals(column(parts, "_content")[preferred])]
        leave(choice, preferred, firsts, EQUAL, EQUAL_HELD_OUT, shown=recipe.examples)
    # Whatever the recipe says: no prompt is in two splits.
    prompts = column(parts, "_prompt")
    firsts = preferred[first_of_equals(prompts[preferred])]
    apart = held_out[firsts] & ~held_out[preferred]
    leave(choice, preferred[apart], firsts[apart], PROMPT_HELD_OUT, PROMPT_HELD_OUT, shown=recipe.examples)
    del prompts, firsts, apart
    if recipe.near_duplicates:
        members = preferred[(choice.verdicts[preferred] == STAYS) & column(parts, "_is_compared")[preferred]]
        bounds = recipe.near_duplicates
        firsts = first_of_alike(
            Signatures(signature_file(context, parts), bounds.bands, bounds.rows),
            members,
            threshold=bounds.threshold,
            tell=lambda done, total: tell(context, "comparing", done, total, unit="bands"),
        )
        leave(choice, members, members[firsts], NEAR, NEAR_HELD_OUT, shown=recipe.examples)
    return choice


def held_out_of(recipe: CurateRecipe, parts: list[Path]) -> npt.NDArray[np.bool_]:
    given: npt.NDArray[np.bool_] = column(parts, "_given_held_out")
    if recipe.split == "given" and given.any():
        return given
    by_content: npt.NDArray[np.bool_] = column(parts, "_content_held_out")
    # As at an import: rows too few to hold a tenth out are for training.
    return np.zeros_like(by_content) if by_content.all() else by_content


def leave(choice: Choice, places: Any, firsts: Any, code: int, code_held_out: int, *, shown: int) -> None:
    """Rows that are not the first of their group leave, unless they have already."""
    gone = (firsts != places) & (choice.verdicts[places] == STAYS)
    places, firsts = places[gone], firsts[gone]
    from_training = choice.held_out[firsts] & ~choice.held_out[places]
    choice.verdicts[places] = np.where(from_training, code_held_out, code)
    for verdict in {code, code_held_out}:
        some = np.flatnonzero(choice.verdicts[places] == verdict)[:shown]
        choice.like.update(zip(places[some].tolist(), firsts[some].tolist(), strict=True))


def column(parts: list[Path], name: str) -> Any:
    return np.concatenate([pq.read_table(path, columns=[name])[name].to_numpy() for path in parts])


def signature_file(context: RunContext, parts: list[Path]) -> Path:
    """The signatures of all rows, one after the other, made from the parts at every start."""
    path = context.checkpoints / "signatures.u2"
    with path.open("wb") as file:
        for part in parts:
            for chunk in pq.read_table(part, columns=["_signature"])["_signature"].chunks:
                width = chunk.type.byte_width
                start = chunk.offset * width
                file.write(memoryview(chunk.buffers()[1])[start : start + len(chunk) * width])
    return path


# What stays


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


def s_curve(recipe: CurateRecipe) -> list[list[float]]:
    """[similarity, probability to be compared] ..."""
    bounds = recipe.near_duplicates
    if bounds is None:
        return []
    return [
        [tenth / 20, round(minhash.s_curve(tenth / 20, bands=bounds.bands, rows=bounds.rows), 6)] for tenth in range(21)
    ]


def card_of(context: RunContext, steps: dict[str, StepReport], *, given: int, kept: int) -> str:
    source = context.input(str(context.spec.recipe.get("kind_of_dataset", "corpus")))
    told = "; ".join(f"{name.replace('_', ' ')} {step.dropped:,}" for name, step in steps.items() if step.dropped)
    return (
        f"{kept:,} of {given:,} rows of {source.name or 'a dataset'} (sha256 {source.sha256}). "
        f"Dropped: {told or 'nothing'}. `{REPORT}` has the reasons, with examples."
    )
