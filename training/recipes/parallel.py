"""How several processes share the steps of one run; a step stays the same, whoever takes which part of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Parallel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    processes: int = Field(
        2, ge=1, le=64, description="Processes on one machine, each with a GPU of its own where there are GPUs."
    )
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp",
        description="DDP: each process holds the whole model. FSDP: weights, gradients and moments are cut among them.",
    )


def uneven(parallel: Parallel | None, rows: int) -> bool:
    """Whether these rows can't be shared out alike."""
    return parallel is not None and rows % parallel.processes != 0
