"""What the asking of an endpoint is told: which, for K completions of each prompt, how often, and at what price."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from training.recipes.base import Recipe
from training.recipes.completions import CompletionsRecipe


class Endpoint(Recipe):
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


class Paced(Endpoint):
    """An endpoint that is asked many times: how fast, how often again, and at what price."""

    requests_a_minute: int = Field(60, ge=1, le=100_000, description="At most, retries included.")
    at_once: int = Field(4, ge=1, le=64, description="Requests under way at one time.")
    retries: int = Field(6, ge=0, le=20, description="Of one request, where the endpoint is busy or out of order.")
    timeout_s: float = Field(120, gt=0, le=3600, description="Seconds to wait for one answer.")
    price_read: float = Field(0, ge=0, le=1e6, description="Of a million tokens of prompts, for the run's cost.")
    price_written: float = Field(0, ge=0, le=1e6, description="Of a million tokens of completions.")


class AskRecipe(CompletionsRecipe, Paced):
    summary: ClassVar[str] = "Ask an OpenAI-compatible endpoint for K completions of every prompt."
    inputs: ClassVar[dict[str, str]] = {"prompts": "dataset:prompts"}
    no_estimate: ClassVar[str] = "An endpoint's pace and price are its own: asking it costs what is to be found out."
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"max_new_tokens": 24}, "demo": {}}

    max_new_tokens: int = Field(256, ge=1, le=32_768, description="A completion is cut here if it has not ended.")
    stop_strings: tuple[str, ...] = Field(
        (), max_length=4, description="A completion also ends where one of these begins, which is left out of its text."
    )
    logprobs: bool = Field(True, description="Ask for log-probabilities; some endpoints refuse.")
    seed: int = Field(0, ge=0, description="Sent with each request, with the prompt and a number mixed in.")
