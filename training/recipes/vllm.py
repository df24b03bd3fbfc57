"""The server that may sample rollouts instead of our own engine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Vllm(BaseModel):
    """A vLLM server that the run starts beside itself, keeps at the policy's weights, and ends with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu_memory: float = Field(
        0.3, gt=0, lt=1, description="Share of the GPU's memory that vLLM takes; training needs the rest."
    )
    timeout_s: float = Field(
        600.0,
        ge=1,
        le=86_400,
        description="Seconds in which vLLM must start, take new weights or finish a completion; then the run ends.",
    )
    eager: bool = Field(
        False, description="vLLM compiles nothing: it starts sooner and samples slower, which suits short runs."
    )
