"""What rows went through before they were frozen, as a page shows it: read with care, for any program may have left it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.numbers import whole


@dataclass(frozen=True, slots=True)
class CurationStep:
    name: str
    kept: str
    dropped: str
    reasons: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]


MOST_EXAMPLES, EXAMPLE_CHARACTERS = 3, 400


def curation_steps(curation: dict[str, Any]) -> list[CurationStep]:
    return [
        CurationStep(
            name=str(step.get("name", "")).replace("_", " "),
            kept=number(step.get("kept")),
            dropped=number(step.get("dropped")),
            reasons=tuple(
                (str(reason).replace("_", " "), number(count)) for reason, count in as_dict(step.get("reasons")).items()
            ),
            examples=tuple(example_text(example) for example in as_list(step.get("examples"))[:MOST_EXAMPLES]),
        )
        for step in curation["steps"]
        if isinstance(step, dict)
    ]


def number(value: Any) -> str:
    return whole(value) if isinstance(value, int) else "–"


def as_dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def example_text(example: Any) -> str:
    if isinstance(example, dict):
        example = " · ".join(f"{name}: {value}" for name, value in example.items())
    text = str(example)
    return text if len(text) <= EXAMPLE_CHARACTERS else text[:EXAMPLE_CHARACTERS] + " …"
