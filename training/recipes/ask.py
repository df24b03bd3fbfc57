"""What the asking of an endpoint is told: which, for K completions of each prompt, how often, and at what price."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from training.recipes.base import OutputKind, Recipe


class AskRecipe(Recipe):
    summary: ClassVar[str] = "Ask an OpenAI-compatible endpoint for K completions of every prompt."
    inputs: ClassVar[dict[str, str]] = {"prompts": "dataset:prompts"}
    output: ClassVar[OutputKind] = "dataset"
    role: ClassVar[str] = "completions"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"max_new_tokens": 24}, "demo": {}}

    url: str = Field(
        "http://127.0.0.1:8000/v1", max_length=500, pattern=r"^https?://[^@\s?#]+$",
        description="Address of the endpoint, up to where /chat/completions begins.",
    )  # fmt: skip
    model: str = Field("", max_length=200, description="Name of the model there.")
    # Only names with this beginning: whoever starts a run must not have any other secret sent to an address of his own.
    key_variable: str = Field(
        "", max_length=100, pattern=r"^(STEADYHAND_KEY_[A-Z0-9_]+)?$",
        description="Environment variable of the worker that holds the key, STEADYHAND_KEY_...; none sends no key.",
    )  # fmt: skip
    k: int = Field(4, ge=2, le=9, description="Completions a prompt.")
    temperatures: tuple[float, ...] = Field(
        (0.7, 0.8, 0.9, 1.0), min_length=1, max_length=9,
        description="The i-th completion of a prompt is sampled at the i-th temperature, in turn.",
    )  # fmt: skip
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling; 1 samples from the whole distribution.")
    max_new_tokens: int = Field(256, ge=1, le=32_768, description="A completion is cut here if it has not ended.")
    stop_strings: tuple[str, ...] = Field(
        (), max_length=4, description="A completion also ends where one of these begins, which is left out of its text."
    )
    logprobs: bool = Field(True, description="Ask for log-probabilities; some endpoints refuse.")
    requests_a_minute: int = Field(60, ge=1, le=100_000, description="At most, retries included.")
    at_once: int = Field(4, ge=1, le=64, description="Requests under way at one time.")
    retries: int = Field(6, ge=0, le=20, description="Of one request, where the endpoint is busy or out of order.")
    timeout_s: float = Field(120, gt=0, le=3600, description="Seconds to wait for one answer.")
    price_read: float = Field(0, ge=0, le=1e6, description="Of a million tokens of prompts, for the run's cost.")
    price_written: float = Field(0, ge=0, le=1e6, description="Of a million tokens of completions.")
    seed: int = Field(0, ge=0, description="Sent with each request, with the prompt and a number mixed in.")

    @model_validator(mode="after")
    def fields_fit(self) -> AskRecipe:
        if any(not 0 < t <= 2 for t in self.temperatures):
            raise ValueError("temperatures must lie above 0 and at most at 2")
        if not all(self.stop_strings):
            raise ValueError("a stop string must not be empty")
        return self
