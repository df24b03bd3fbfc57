"""What a merge is told: an adapter in, the full model out that it and all below it come to."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from training.recipes.base import SAME_ROLE, OutputKind, Recipe


class MergeRecipe(Recipe):
    summary: ClassVar[str] = "Merge an adapter, and the adapters below it, into their base: one full model."
    inputs: ClassVar[dict[str, str]] = {"model": "model"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = SAME_ROLE
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {}, "demo": {"dtype": "bfloat16"}}

    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="What weights are stored as. bfloat16 takes half the room, and rounds what was merged."
    )
