"""What a person decides by at the gate of a constitutional run, as figures that are kept with the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from annotation.quality.ai_gate import Gate


@dataclass(frozen=True, slots=True)
class GateFigures:
    """Pairs judged by `rater`, how often their two orders named different winners, and the tasks that count or go to people."""

    rater: str
    num_pairs: int
    flip_rate: float
    num_counted: int
    num_for_people: int
    gate: Gate

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> GateFigures:
        return cls(**{**told, "gate": Gate.of(told["gate"])})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
