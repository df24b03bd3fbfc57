"""The adapter that a fine-tuning method may train instead of the whole model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LoRA(BaseModel):
    """LoRA (Hu et al. 2021) on all linear layers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    r: int = Field(16, ge=1, le=256, description="Rank of the adapter.")
    alpha: int = Field(32, ge=1, le=512, description="Scale of the adapter; alpha / r multiplies its output.")
    dropout: float = Field(0.0, ge=0, le=0.5, description="Dropout on the adapter's input.")
