"""Work that is done in parts, each kept once it is done: a killed run does again the part it was in, and no other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from training import contract
from training.context import RunContext, Stopped
from training.mechanics.estimate.probe import ENOUGH, Probe, spread

Row = dict[str, Any]
Tell = Callable[[int], None]

BATCHES = 4  # that a part of samples is long: each part ends in a batch that empties, and a kill may cost one part
PATIENCE = 1.0  # seconds from one word of progress to the next within a part


def batches_by_length(lengths: list[int], *, batch_size: int, together: int = 1) -> list[list[int]]:
    """All places, in batches of similar length: the same ones at every start.

    Places come in runs of `together` (the samples of one prompt), and no run is torn.
    """
    runs = [list(range(start, start + together)) for start in range(0, len(lengths), together)]
    runs.sort(key=lambda run: lengths[run[0]])
    size = max(1, batch_size // together)
    return [[place for run in runs[start : start + size] for place in run] for start in range(0, len(runs), size)]


def kept(
    context: RunContext,
    phase: str,
    batches: list[list[int]],
    work: Callable[[list[int], Tell], list[Row]],
    *,
    unit: str,
) -> list[Row]:
    """What `work` gives for every place, in the order of places: one plain row a place.

    `work` may tell how many of its places are done. Parts are files below `checkpoints/`. Raises `Stopped` between
    two parts, on request.
    """
    if context.probe is not None:
        return probed(context.probe, phase, batches, work, unit=unit)
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
            rows = work(places, teller(context, phase, done, total, unit=unit))
            contract.write_atomically(path, json.dumps(rows))
        # Read back in either case, so that a resumed run works on the very same values.
        for place, row in zip(places, json.loads(path.read_text()), strict=True):
            found[place] = row
        done += len(places)
    context.progress(phase, total, total, unit=unit)
    return found


def probed(
    probe: Probe, phase: str, batches: list[list[int]], work: Callable[[list[int], Tell], list[Row]], *, unit: str
) -> list[Row]:
    """What `work` gives for some of the places, to stand for all: enough to time it. A quarter of a part warms it up.

    Where that took long, halves of parts are timed instead of whole ones, at the price of more batches that empty. Where a
    sixteenth took as long as that before, it stands for all.
    """
    total = sum(map(len, batches))
    found: list[Row] = []
    loop = probe.loop(phase, total=total, unit=unit)
    loop.warm_up = 2

    def do(places: list[int]) -> None:
        with loop.one(weight=len(places)):
            found.extend(json.loads(json.dumps(work(places, lambda count: None))))

    order = [batches[number] for number in spread(len(batches))]
    if order:
        do(order[0][: max(1, len(order[0]) // 16)])
        if loop.pace.seconds * len(found) > 2 * ENOUGH:
            loop.leave()
            return stand_in(found, total)
        do(order[0][: max(1, len(order[0]) // 4)])
    is_slow = loop.is_enough() or loop.pace.seconds * len(order[0] if order else ()) > 2 * ENOUGH
    for places in order:
        do(places[: max(1, len(places) // 2)] if is_slow else places)
        if loop.is_enough():
            break
    loop.leave()
    return stand_in(found, total)


def stand_in(found: list[Row], total: int) -> list[Row]:
    return [found[place % len(found)] for place in range(total)]


def teller(context: RunContext, phase: str, done: int, total: int, *, unit: str) -> Tell:
    """Says how far a part is that began when `done` were, and not too often."""
    said = time.monotonic()

    def tell(count: int) -> None:
        nonlocal said
        if time.monotonic() - said >= PATIENCE:
            said = time.monotonic()
            context.progress(phase, done + count, total, unit=unit)

    return tell
