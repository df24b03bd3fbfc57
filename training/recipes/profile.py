"""What a profile is told: a dataset in, a report of what is in it out. Nothing is learned, and no torch is needed."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import OutputKind, Recipe


class ProfileRecipe(Recipe):
    summary: ClassVar[str] = (
        "Say what is in a dataset: lengths, languages, and in which tone groups of people are named."
    )
    inputs: ClassVar[dict[str, str]] = {"dataset": "dataset"}
    output: ClassVar[OutputKind] = "report"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"batch_rows": 16}, "demo": {}}

    batch_rows: int = Field(50, ge=1, le=100_000, description="Rows read and counted at once.")
