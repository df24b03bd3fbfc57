"""Several datasets in one training: which share of the conversations comes from each, and in which order rows are drawn.

Shares are told, or follow from sizes at a temperature T: proportional to size^(1/T) (Raffel et al. 2020, T5, section 3.5.2).
At 1 every conversation counts alike; the higher, the more alike the datasets. The order is a function of shares, sizes and
seed alone, so what a step learns is one of the step: a resumed run needs no state of it. After any number of rows each dataset
has given its share to within one row. Each is walked in a fresh order each time it is used up.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.contract import Failure


def shares_of(sizes: Sequence[int], *, weights: Sequence[float], temperature: float) -> list[float]:
    """They sum to 1. Raises `Failure("bad_weights")` where weights are told, and not one a dataset."""
    if weights and len(weights) != len(sizes):
        raise Failure(
            "bad_weights",
            f"There are {len(weights)} weights for {len(sizes)} datasets of instructions.",
            advice="Give one weight a dataset, in the order of the inputs, or none.",
        )
    told = list(weights) or [size ** (1 / temperature) for size in sizes]
    return [weight / sum(told) for weight in told]


@dataclass(frozen=True, slots=True)
class Part:
    """One dataset of a mixture: how curves call it, which of all rows are its, and its share of the conversations."""

    name: str
    rows: range
    share: float


class MixedRows:
    """A sampler of row numbers; an epoch is as many rows as all datasets have together."""

    def __init__(self, parts: Sequence[Part], talks: Sequence[int], *, epochs: int, seed: int) -> None:
        """`talks` is how many conversations each row holds: a pack counts by what is in it."""
        self.parts = parts
        self.talks = talks
        self.size = sum(len(part.rows) for part in parts)
        self.epoch = 0
        self.order = list(self.draw(epochs * self.size, seed=seed))

    def draw(self, count: int, *, seed: int) -> Iterator[int]:
        """Each time a row of the dataset that is furthest behind its share."""
        walks = [walk(part.rows, seed=seed, number=i) for i, part in enumerate(self.parts)]
        given = [0.0] * len(self.parts)
        for _ in range(count):
            total = sum(given)
            behind = [part.share * (total + 1) - told for part, told in zip(self.parts, given, strict=True)]
            chosen = max(range(len(behind)), key=behind.__getitem__)
            row = next(walks[chosen])
            given[chosen] += self.talks[row]
            yield row

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        yield from self.order[self.epoch * self.size : (self.epoch + 1) * self.size]

    def seen(self, num_rows: int) -> dict[str, int]:
        """Conversations of each dataset among the first rows that are drawn."""
        found: Counter[str] = Counter({part.name: 0 for part in self.parts})
        for row in self.order[:num_rows]:
            part = next(part for part in self.parts if row in part.rows)
            found[part.name] += self.talks[row]
        return dict(found)


def walk(rows: range, *, seed: int, number: int) -> Iterator[int]:
    times = 0
    while True:
        order = list(rows)
        random.Random(f"mixture {seed} {number} {times}").shuffle(order)
        yield from order
        times += 1
