"""What the supervised stage of constitutional AI is told: who answers, who critiques and revises, and what is learned of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Literal

from pydantic import Field

from training.recipes.ask import Paced
from training.recipes.base import Lack, OutputKind, Recipe

NO_ENDPOINT = "The critic is an endpoint, and none is told: fill in its address and model."
NO_SCORES = "Texts are to be scored by a reward model: choose one as the input reward."
NO_HELPFUL = "A share of helpful samples is asked for: choose prompts as the input helpful."


class ConstitutionalRecipe(Recipe):
    summary: ClassVar[str] = (
        "Have a model critique and revise its answers by the principles of a constitution, for SFT to learn."
    )
    inputs: ClassVar[dict[str, str]] = {
        "model": "model",
        "prompts": "dataset:prompts",
        "constitution": "dataset:constitution",
        "helpful?": "dataset:prompts",
        "feedback?": "model",
        "reward?": "model:reward",
    }
    output: ClassVar[OutputKind] = "dataset"
    role: ClassVar[str] = "instructions"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"critic": "rules", "max_new_tokens": 48, "critique_tokens": 24, "batch_size": 32, "bf16": False},
        "demo": {"max_new_tokens": 128, "critique_tokens": 96},
    }

    rounds: int = Field(
        4, ge=0, le=16, description="Critiques and revisions of each answer; with 0 answers are learned as they are."
    )
    samples: int = Field(1, ge=1, le=16, description="Answers a prompt, each with rounds of its own.")
    temperature: float = Field(1.0, gt=0, le=2, description="Of answers.")
    max_new_tokens: int = Field(
        256, ge=1, le=32_768, description="An answer or a revision is cut here if it has not ended."
    )
    critic: Literal["model", "endpoint", "rules"] = Field(
        "model",
        description="Who critiques and revises: the model (or the input feedback), an endpoint, or a list of words, for tests.",
    )
    endpoint: Paced | None = Field(
        None, description="The endpoint that critiques and revises, where the critic is one."
    )
    critic_temperature: float = Field(1.0, gt=0, le=2, description="Of critiques and revisions.")
    critique_tokens: int = Field(192, ge=1, le=32_768, description="A critique is cut here if it has not ended.")
    examples: int = Field(
        2, ge=0, le=8,
        description="Examples before each request, the drawn principle's own first; fewer where the model reads no more.",
    )  # fmt: skip
    learn: Literal["all", "last"] = Field(
        "all", description="Learn every revision of an answer, or the last one alone."
    )
    helpful_share: float | None = Field(
        None, ge=0, lt=1, description="Of the rows that are learned; none takes all helpful answers that there are."
    )
    drop_leaks: bool = Field(
        True,
        description="Cut what a revision says of itself (“Here is a revised reply:”), and refuse one that is no reply.",
    )
    drop_evasive: bool = Field(False, description="Learn no revision that refuses and offers nothing else.")
    drop_cut: bool = Field(
        False, description="Learn no text that was cut at max_new_tokens: whoever learns it breaks off where it does."
    )
    score: Literal["rules", "reward", "none"] = Field(
        "rules",
        description="Score each round's texts: by the share of sentences with a harmful word (0 is best), or by a reward model.",
    )
    batch_size: int = Field(64, ge=1, le=1024, description="Sequences sampled at once.")
    bf16: bool = Field(True, description="bfloat16 weights.")
    seed: int = Field(
        0, ge=0, description="Of answers, critiques, revisions and of which principle is drawn, whatever the batch."
    )

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        if self.critic == "endpoint" and self.rounds and (self.endpoint is None or not self.endpoint.model):
            return Lack(NO_ENDPOINT, "endpoint")
        if self.score == "reward" and "reward" not in inputs:
            return Lack(NO_SCORES, "reward")
        return Lack(NO_HELPFUL, "helpful") if self.helpful_share and "helpful" not in inputs else None
