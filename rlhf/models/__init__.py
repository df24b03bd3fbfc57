"""The tables of this app: rounds of the loop, constitutions by version, constitutional runs."""

from __future__ import annotations

from rlhf.models.constitutional import CAI_TRANSITIONS, CaiStage, CaiState, ConstitutionalRun, ConstitutionalStage
from rlhf.models.constitutions import Constitution, ConstitutionVersion, Principle, VersionState
from rlhf.models.rounds import Round, RoundRun, RoundState, Stage

__all__ = [
    "CAI_TRANSITIONS",
    "CaiStage",
    "CaiState",
    "Constitution",
    "ConstitutionVersion",
    "ConstitutionalRun",
    "ConstitutionalStage",
    "Principle",
    "Round",
    "RoundRun",
    "RoundState",
    "Stage",
    "VersionState",
]
