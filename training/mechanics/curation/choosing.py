"""Each row beside all others: which of equal, almost equal and held-out rows stay, and for which row the others leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from training.context import RunContext
from training.contract import Failure
from training.mechanics.curation.duplicates import Signatures, first_of_alike, first_of_equals
from training.mechanics.curation.sifting import tell
from training.recipes.curate import CurateRecipe

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


def choose(context: RunContext, recipe: CurateRecipe, parts: list[Path]) -> Choice:
    held_out = held_out_of(recipe, parts)
    if not len(held_out):
        raise Failure(
            "nothing_left", "No row passed the filters.", advice="Look at the report's examples, and widen a bound."
        )
    choice = Choice(held_out, np.zeros(len(held_out), dtype=np.uint8))
    # Rows in the order in which they may stay.
    preferred = np.concatenate([np.flatnonzero(side).astype(np.int32) for side in (held_out, ~held_out)])
    if recipe.exact_duplicates:
        firsts = preferred[first_of_equals(column(parts, "_content")[preferred])]
        leave(choice, preferred, firsts, EQUAL, EQUAL_HELD_OUT, shown=recipe.examples)
    # Whatever the recipe says: no prompt is in two splits.
    firsts = preferred[first_of_equals(column(parts, "_prompt")[preferred])]
    apart = held_out[firsts] & ~held_out[preferred]
    leave(choice, preferred[apart], firsts[apart], PROMPT_HELD_OUT, PROMPT_HELD_OUT, shown=recipe.examples)
    del firsts, apart
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
