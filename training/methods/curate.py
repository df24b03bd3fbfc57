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
from typing import Any

from training import contract
from training.context import RunContext
from training.contract import Failure
from training.mechanics.curation import minhash, rows
from training.mechanics.curation.choosing import choose
from training.mechanics.curation.language import refuse_unknown
from training.mechanics.curation.report import StepReport
from training.mechanics.curation.sifting import AGAINST, filtered, read_against, sift_parts
from training.mechanics.curation.writing import write
from training.recipes.curate import CurateRecipe, Decontamination

REPORT = "curation.json"


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, CurateRecipe)
    if lacking := recipe.lacks(context.spec.inputs):
        raise Failure("no_input", lacking.sentence)
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
