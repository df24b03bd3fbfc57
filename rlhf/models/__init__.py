"""The tables of this app: rounds of the loop, and constitutions by version."""

from __future__ import annotations

from rlhf.models.constitutions import Constitution, ConstitutionVersion, Principle, VersionState
from rlhf.models.rounds import Round, RoundRun, RoundState, Stage

__all__ = [
    "Constitution",
    "ConstitutionVersion",
    "Principle",
    "Round",
    "RoundRun",
    "RoundState",
    "Stage",
    "VersionState",
]
