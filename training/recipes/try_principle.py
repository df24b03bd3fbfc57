"""What a trial of one principle is told: its words, one prompt, and who critiques. All of it is small, and is what was tried."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.recipes.ask import Paced
from training.recipes.base import Lack, OutputKind, Recipe
from training.recipes.constitutional import NO_ENDPOINT

NO_PROMPT = "There is nothing to answer yet: write a prompt."
NO_REQUESTS = "A principle is tried by its critique request and its revision request: write both."


class Shown(BaseModel):
    """An example before a request; its requests are those of the principle that it belongs to, "" for the tried one's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1, max_length=4000, description="What the person asks.")
    response: str = Field(min_length=1, max_length=4000, description="A poor reply.")
    critique: str = Field(min_length=1, max_length=4000, description="What is wrong with it.")
    revision: str = Field(min_length=1, max_length=4000, description="A better one.")
    critique_request: str = Field("", max_length=2000, description="By which it was criticised.")
    revision_request: str = Field("", max_length=2000, description="By which it was written anew.")


class TryPrincipleRecipe(Recipe):
    summary: ClassVar[str] = (
        "Try one principle on one prompt: the answer, its critique, its revision, and which is better."
    )
    inputs: ClassVar[dict[str, str]] = {"model": "model", "feedback?": "model"}
    output: ClassVar[OutputKind] = "report"
    no_estimate: ClassVar[str] = "A trial is a few texts long: an estimate would take as long."
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"critic": "rules", "max_new_tokens": 48, "critique_tokens": 24, "bf16": False},
        "demo": {},
    }

    prompt: str = Field("", max_length=8000, description="What a person asks the model.")
    principle: str = Field("principle", min_length=1, max_length=60, description="What the principle is called.")
    critique: str = Field("", max_length=2000, description="Request: what to look for in a reply.")
    revision: str = Field("", max_length=2000, description="Request: how to write the reply anew.")
    comparison: str = Field(
        "",
        max_length=2000,
        description="Question: which of two replies is the better one; empty asks for no judgement.",
    )
    examples: tuple[Shown, ...] = Field((), max_length=8, description="Examples before each request.")
    critic: Literal["model", "endpoint", "rules"] = Field(
        "model",
        description="Who critiques, revises, judges: the model (or the input feedback), an endpoint, or a list of words.",
    )
    endpoint: Paced | None = Field(None, description="The endpoint, where the critic is one.")
    temperature: float = Field(1.0, gt=0, le=2, description="Of the answer.")
    max_new_tokens: int = Field(
        128, ge=1, le=2048, description="An answer or a revision is cut here if it has not ended."
    )
    critic_temperature: float = Field(1.0, gt=0, le=2, description="Of critiques and revisions.")
    critique_tokens: int = Field(96, ge=1, le=2048, description="A critique is cut here if it has not ended.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(0, ge=0, description="Of the texts: with the same one, what differs comes from the words.")

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        if not self.prompt.strip():
            return Lack(NO_PROMPT, "prompt")
        for field in ("critique", "revision"):
            if not getattr(self, field).strip():
                return Lack(NO_REQUESTS, field)
        if self.critic == "endpoint" and (self.endpoint is None or not self.endpoint.model):
            return Lack(NO_ENDPOINT, "endpoint")
        return None
