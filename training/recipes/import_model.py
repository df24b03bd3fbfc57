"""What the import of a model is told: a folder of safetensors or one GGUF file in, a checked model folder out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from training.recipes.base import OutputKind, Recipe


class ImportModelRecipe(Recipe):
    summary: ClassVar[str] = "Check a model from outside and store it as safetensors."
    inputs: ClassVar[dict[str, str]] = {"upload": "upload"}
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = "sft"
    no_estimate: ClassVar[str] = "An import has no part that could stand for the whole; it takes seconds or minutes."
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {}, "demo": {}}

    role_of_model: Literal["base", "sft", "reward"] = Field("sft", description="What the model is used as.")
    dtype: Literal["bfloat16", "float32"] = Field("bfloat16", description="Of the stored weights.")

    @classmethod
    def role_of(cls, recipe: Mapping[str, Any]) -> str:
        return str(recipe.get("role_of_model", cls.role))
