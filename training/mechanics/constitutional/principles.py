"""A constitution as a method reads it: its principles, checked, and which one is drawn at a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from training.contract import Failure, Input
from training.mechanics import datasets
from training.mechanics.generation.sampling import seed_of

REQUESTS = ("critique", "revision")
TEXTS = ("prompt", "response", "critique", "revision")


@dataclass(frozen=True, slots=True)
class Example:
    """A critique and a revision as they should be."""

    prompt: str
    response: str
    critique: str
    revision: str


@dataclass(frozen=True, slots=True)
class Principle:
    """`critique` and `revision` are requests, `comparison` a question; "" where the constitution has none."""

    id: str
    critique: str
    revision: str
    comparison: str = ""
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    examples: tuple[Example, ...] = field(default=(), repr=False)


def read(given: Input) -> list[Principle]:
    """In the document's order. Raises `Failure("bad_constitution")`."""
    rows = datasets.read_rows(given, split="train")
    if not rows:
        raise bad("It has no principle.")
    found = [principle_of(row, number) for number, row in enumerate(rows, start=1)]
    twice = next((one.id for place, one in enumerate(found) if one.id in {other.id for other in found[:place]}), None)
    if twice is not None:
        raise bad(f"Two principles are called {twice!r}.")
    return found


def principle_of(row: dict[str, Any], number: int) -> Principle:
    name, weight = row.get("id"), row.get("weight")
    if not isinstance(name, str) or not name.strip():
        raise bad(f"Principle {number} has no id.")
    for request in REQUESTS:
        if not is_text(row.get(request)):
            raise bad(f"Principle {name!r} has no {request} request.")
    if not isinstance(weight, int | float) or not math.isfinite(weight) or weight <= 0:
        raise bad(f"Principle {name!r} has a weight that is not a number above 0.")
    examples = row.get("examples") or []
    if not all(is_text(example.get(part)) for example in examples for part in TEXTS):
        raise bad(f"Principle {name!r} has an example without {', '.join(TEXTS[:-1])} or {TEXTS[-1]}.")
    return Principle(
        name, row["critique"], row["revision"], row.get("comparison") or "", float(weight), tuple(row.get("tags") or ()),
        tuple(Example(*(example[part] for part in TEXTS)) for example in examples),
    )  # fmt: skip


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def bad(sentence: str) -> Failure:
    return Failure(
        "bad_constitution",
        f"The constitution can't be worked by: {sentence}",
        advice="Mend the constitution and publish it as a new version.",
    )


def draw(principles: Sequence[Principle], *parts: object) -> Principle:
    """By weight, from the seed that follows from `parts` alone: whatever else is drawn, and in whichever batch."""
    ends = list(accumulate(principle.weight for principle in principles))
    lot = np.random.default_rng(seed_of("principle", *parts)).random() * ends[-1]
    # `lot` may round up to the whole sum, behind which there is none.
    return next((one for one, end in zip(principles, ends, strict=True) if lot < end), principles[-1])


def examples_for(principle: Principle, principles: Sequence[Principle], count: int) -> list[tuple[Principle, Example]]:
    """The first `count`, each with the principle that it belongs to: the principle's own, then others' in their order."""
    order = [principle, *(other for other in principles if other.id != principle.id)]
    return [(one, example) for one in order for example in one.examples][:count]
