"""What a pretraining run must remember to go on as if it had never stopped: weights, AdamW's moments, and its step.

All of it is in one safetensors file and one of JSON. There is no random state: the order of the rows is a function of
the step (`training.mechanics.corpus.packing.Rows`), the model has no dropout, and samples are drawn from seeds of their own.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.contract import Failure

TENSORS = "state.safetensors"
POSITION = "position.json"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def write_state(folder: Path, *, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    tensors: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():  # a tied weight is named once
        tensors[f"weight/{name}"] = weight.detach().contiguous()
        for moment, value in optimizer.state[weight].items():
            tensors[f"{moment}/{name}"] = value.contiguous()
    save_file(tensors, str(folder / TENSORS))
    (folder / POSITION).write_text(json.dumps({"step": step}))


def read_state(folder: Path, *, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """The step to go on from; fills model and optimizer in place. Raises `Failure("checkpoint_incomplete")`."""
    tensors = load_file(str(folder / TENSORS))
    for name, weight in model.named_parameters():
        keys = (f"weight/{name}", *(f"{moment}/{name}" for moment in MOMENTS))
        missing = [key for key in keys if key not in tensors]
        if missing or tensors[keys[0]].shape != weight.shape:
            raise Failure(
                "checkpoint_incomplete",
                f"{folder.name} does not fit this run: {missing or name}; resuming from it would train something else.",
                advice="Delete that checkpoint's folder: the run then resumes from the one before, or from the start.",
            )
        with torch.no_grad():
            weight.copy_(tensors[keys[0]])
        optimizer.state[weight] = {
            moment: tensors[key] if moment == "step" else tensors[key].to(weight.device)
            for moment, key in zip(MOMENTS, keys[1:], strict=True)
        }
    step: int = json.loads((folder / POSITION).read_text())["step"]
    return step
