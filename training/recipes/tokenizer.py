"""What the training of a tokenizer is told: byte-level BPE from zero."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import OutputKind, Recipe


class TokenizerRecipe(Recipe):
    summary: ClassVar[str] = "Train a byte-level BPE tokenizer with a chat template."
    inputs: ClassVar[dict[str, str]] = {"corpus": "dataset:corpus"}
    output: ClassVar[OutputKind] = "tokenizer"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"vocab_size": 512}, "demo": {"vocab_size": 4096}}

    vocab_size: int = Field(4096, ge=300, le=262_144, description="Number of tokens, bytes and special ones included.")
    min_frequency: int = Field(2, ge=1, le=1000, description="A merge must occur so often.")
