"""What a pretraining run must remember to go on as if it had never stopped: weights, the optimisers' moments, its position.

All of it is in one safetensors file and one of JSON. There is no random state: the order of the rows is a function of
their number (`training.mechanics.corpus.packing.Rows`), so are their gaps, models have no dropout, and samples are drawn from
seeds of their own.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.contract import Failure
from training.mechanics.pretraining.optimizers import Optimizers
from training.mechanics.pretraining.spikes import Position
from training.mechanics.ranks import like, whole

TENSORS = "state.safetensors"
POSITION = "position.json"
MOMENTS = {torch.optim.AdamW: ("step", "exp_avg", "exp_avg_sq"), torch.optim.Muon: ("momentum_buffer",)}


def whole_tensors(model: nn.Module, optimizers: Optimizers, *, keep: bool) -> dict[str, Tensor]:
    """Weights and moments; of what is cut each process must ask for them, though not all keep them."""
    tensors: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():  # a tied weight is named once
        tensors[f"weight/{name}"] = whole(weight.detach())
        for optimizer in optimizers:
            for moment, value in optimizer.state.get(weight, {}).items():
                tensors[f"{moment}/{name}"] = whole(value)
        if not keep:
            tensors.clear()
    return tensors


def write_state(folder: Path, *, tensors: dict[str, Tensor], position: Position) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(folder / TENSORS))
    (folder / POSITION).write_text(json.dumps(position.as_plain()))


def read_state(folder: Path, *, model: nn.Module, optimizers: Optimizers) -> Position:
    """The position to go on from; fills model and optimisers in place. Raises `Failure("checkpoint_incomplete")`."""
    tensors = load_file(str(folder / TENSORS))
    owner = {id(weight): one for one in optimizers for group in one.param_groups for weight in group["params"]}
    for name, weight in model.named_parameters():
        optimizer = owner[id(weight)]
        moments = MOMENTS[type(optimizer)]
        keys = (f"weight/{name}", *(f"{moment}/{name}" for moment in moments))
        missing = [key for key in keys if key not in tensors]
        if missing or tensors[keys[0]].shape != weight.shape:
            raise Failure(
                "checkpoint_incomplete",
                f"{folder.name} does not fit this run: {missing or name}; resuming from it would train something else.",
                advice="Delete that checkpoint's folder: the run then resumes from the one before, or from the start.",
            )
        with torch.no_grad():
            weight.copy_(like(weight, tensors[keys[0]]))
        optimizer.state[weight] = {
            moment: tensors[key] if moment == "step" else like(weight, tensors[key])
            for moment, key in zip(moments, keys[1:], strict=True)
        }
    return Position(**json.loads((folder / POSITION).read_text()))
