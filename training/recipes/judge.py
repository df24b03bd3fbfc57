"""What AI feedback is told: who judges pairs of completions, how it is asked, and when it is left to people."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from training.recipes.ask import Paced
from training.recipes.base import Lack, OutputKind, Recipe
from training.recipes.constitutional import NO_ENDPOINT

NO_MODEL = "The critic is a model: choose one as the input model."


class JudgeRecipe(Recipe):
    summary: ClassVar[str] = (
        "Have a model judge pairs of completions by the principles of a constitution, in both orders (AI feedback)."
    )
    inputs: ClassVar[dict[str, str]] = {
        "completions": "dataset:completions", "prompts": "dataset:prompts", "constitution": "dataset:constitution",
        "model?": "model",
    }  # fmt: skip
    output: ClassVar[OutputKind] = "report"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"batch_size": 8, "thought_tokens": 24, "bf16": False},
        "demo": {"examples": 2, "thought_tokens": 96},
    }

    critic: Literal["model", "endpoint", "rules"] = Field(
        "model", description="Who judges: a model, an endpoint, or a list of harmful words, for tests."
    )
    endpoint: Paced | None = Field(None, description="The endpoint that judges, where the critic is one.")
    logprobs: bool = Field(
        True, description="Ask the endpoint for log-probabilities of its answer; some endpoints refuse."
    )
    samples: int = Field(
        5, ge=1, le=100,
        description="Answers of an endpoint that are counted, where it gives no log-probabilities of them.",
    )  # fmt: skip
    steepness: float = Field(
        8.0, gt=0, le=100, description="Of the rules: log-odds of a harmless text against one that is all harmful."
    )
    examples: int = Field(0, ge=0, le=4, description="Examples of comparisons before each question.")
    thought: bool = Field(False, description="Let the critic write its reasons first, and answer after them.")
    thought_tokens: int = Field(192, ge=1, le=32_768, description="Reasons are cut here if they have not ended.")
    thought_temperature: float = Field(1.0, gt=0, le=2, description="Of reasons.")
    clamp_low: float = Field(
        0.4, ge=0, lt=0.5, description="Labels after reasons are no lower than this: reasons make a critic too sure."
    )
    clamp_high: float = Field(0.6, gt=0.5, le=1, description="Labels after reasons are no higher than this.")
    abstain: float = Field(
        0.02, ge=0, lt=0.5, description="Labels nearer to 0.5 than this count as no judgement: people decide."
    )
    max_length: int = Field(
        4096, ge=64, le=131_072, description="Pairs whose question has more tokens are left out, and counted."
    )
    batch_size: int = Field(16, ge=1, le=1024, description="Questions read at once.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(
        0, ge=0, description="Of which principle is drawn for a pair, and of reasons, whatever the batch."
    )

    @model_validator(mode="after")
    def fields_fit(self) -> Self:
        if abs(self.clamp_low + self.clamp_high - 1) > 1e-9:
            # Else a pair would have another label where its texts change places.
            raise ValueError("clamp_low and clamp_high must lie evenly around 0.5, such as 0.4 and 0.6")
        if self.thought and self.critic == "rules":
            raise ValueError("thought is for a critic that writes, and rules do not")
        if self.thought and self.abstain > self.clamp_high - 0.5 - 1e-9:
            raise ValueError("abstain reaches over clamp_high: every pair would be left to people")
        return self

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        if self.critic == "model" and "model" not in inputs:
            return Lack(NO_MODEL, "model")
        if self.critic == "endpoint" and (self.endpoint is None or not self.endpoint.model):
            return Lack(NO_ENDPOINT, "endpoint")
        return None
