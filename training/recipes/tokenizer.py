"""What the training of a tokenizer is told: byte-level BPE from zero."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from training.recipes.base import OutputKind, Recipe


class TokenizerRecipe(Recipe):
    summary: ClassVar[str] = "Train a byte-level BPE tokenizer with a chat template."
    inputs: ClassVar[dict[str, str]] = {
        "corpus": "dataset:corpus", "reference?": "tokenizer", "reference_model?": "model",
    }  # fmt: skip
    output: ClassVar[OutputKind] = "tokenizer"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"vocab_size": 512}, "demo": {"vocab_size": 4096}}

    vocab_size: int = Field(4096, ge=300, le=262_144, description="Number of tokens, bytes and special ones included.")
    min_frequency: int = Field(2, ge=1, le=1000, description="A merge must occur so often.")
    chat_template: Literal["chatml", "llama3", "zephyr"] = Field(
        "chatml", description="How conversations are written; its marks are special tokens."
    )
    special_tokens: tuple[str, ...] = Field(
        (),
        max_length=1000,
        description="More special tokens, such as <|tool|>: one token each, whatever the corpus says.",
    )

    @field_validator("special_tokens")
    @classmethod
    def are_tokens(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(given)) < len(given) or not all(token.strip() == token != "" for token in given):
            raise ValueError("special tokens must differ, and neither be empty nor begin or end with a space")
        return given

    @model_validator(mode="after")
    def fit(self) -> TokenizerRecipe:
        if self.vocab_size < 256 + 9 + len(self.special_tokens):
            raise ValueError("vocab_size must leave room for 256 bytes and the special tokens")
        return self
