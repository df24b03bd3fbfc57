"""What a trainer of ours refuses to go on with: numbers that are not finite, and checkpoints that are not whole."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from training.contract import Failure
from training.mechanics.ranks import own_part

NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
OWN_STATE = "method_state.json"


def not_finite(what: str, step: int) -> Failure:
    return Failure(
        "not_finite",
        f"{what} was not finite at step {step}; the last good checkpoint was kept.",
        advice="Lower the learning rate, or look for a broken row among the data.",
    )


def refuse_incomplete(folder: Path) -> None:
    """Raises `Failure("checkpoint_incomplete")`: transformers would go on without what is missing, with other results."""
    missing = [name for name in (*NEEDED, OWN_STATE) if not (folder / name).is_file()]
    if not list(folder.glob("rng_state*.pth")):
        missing.append("rng_state.pth")
    if missing:
        raise Failure(
            "checkpoint_incomplete",
            f"{folder.name} lacks {', '.join(missing)}; resuming from it would train something else.",
            advice="Delete that checkpoint's folder: the run then resumes from the one before, or from the start.",
        )


def refuse_poisoned(model: nn.Module, *, step: int) -> None:
    """Raises `Failure("not_finite")` for a weight that training made infinite or NaN."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and not torch.isfinite(own_part(weight)).all():
            raise not_finite(f"The weight {name}", step)
