"""Work that is done in parts, each kept once it is done: a killed run does again the part it was in, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from training import contract
from training.context import RunContext, Stopped

Row = dict[str, Any]


def batches_by_length(lengths: list[int], *, batch_size: int) -> list[list[int]]:
    """All places, in batches of similar length: the same ones at every start."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def kept(
    context: RunContext, phase: str, batches: list[list[int]], work: Callable[[list[int]], list[Row]], *, unit: str
) -> list[Row]:
    """What `work` gives for every place, in the order of places: one plain row a place.

    Parts are files below `checkpoints/`. Raises `Stopped` between two parts, on request.
    """
    folder = context.checkpoints / phase.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    total = sum(map(len, batches))
    found: list[Row] = [{}] * total
    done = 0
    for number, places in enumerate(batches):
        path = folder / f"part-{number:06d}.json"
        if not path.exists():
            if context.stop_requested:
                raise Stopped
            context.progress(phase, done, total, unit=unit)
            contract.write_atomically(path, json.dumps(work(places)))
        # Read back in either case, so that a resumed run works on the very same values.
        for place, row in zip(places, json.loads(path.read_text()), strict=True):
            found[place] = row
        done += len(places)
    context.progress(phase, total, total, unit=unit)
    return found
