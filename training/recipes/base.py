"""What every recipe shares: strict fields, named inputs, what comes out, presets. No torch here: web pages read these."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

OutputKind = Literal["model", "tokenizer", "dataset", "report"]

SAME_ROLE = "same"  # as the input called "model" has it


class Lack(NamedTuple):
    """What is missing, as a sentence, and the input or the field that would fill it."""

    sentence: str
    field: str


class Recipe(BaseModel):
    """What a method is told: bounded, documented fields; unknown names are refused, so that a typo can't pass.

    A field's `description` is the help beside it on the launch page, `ge`/`le` its bounds there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: ClassVar[str] = ""
    """One line for the launch page: what this method does."""
    inputs: ClassVar[dict[str, str]] = {}
    """Input name -> what it must be: "model", "model:reward", "tokenizer", "dataset:preference", "upload" ...;
    a name that ends in "?" is optional."""
    output: ClassVar[OutputKind] = "model"
    role: ClassVar[str] = ""
    """The role of the ModelVersion, or the kind of the DatasetVersion, that comes out; `SAME_ROLE` as the model's that
    goes in."""
    no_estimate: ClassVar[str] = ""
    """Why what a run of it costs can't be found out beforehand: a sentence, or ""."""
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """Named sets of fields: "tiny" runs in seconds on a model of 0.1M parameters, "demo" in minutes on 2 cores."""

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        """What a run of this recipe with inputs of these names would lack, optional ones considered."""
        return None

    @classmethod
    def role_of(cls, recipe: Mapping[str, Any]) -> str:
        """The role of what comes out of a run with these fields, where it depends on them."""
        return cls.role

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Recipe:
        return cls.model_validate({**cls.presets[name], **changes})
