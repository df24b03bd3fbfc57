"""What one process of several knows of the others: sums over all, what the first does alone, weights cut among them.

Each reads its share of a step's rows, and gradients are means over processes: a loss that is a sum over a process's share,
divided by the count of the whole step, is multiplied by the number of processes before it goes back. So a step is the one
that a single process would have taken, to rounding.

Weights are whole everywhere (DDP, torch.nn.parallel), or cut among processes with their gradients and moments (FSDP2,
torch.distributed.fsdp.fully_shard), block by block. What is written is whole in both cases: a run may be resumed by more or
fewer processes than it was begun by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from training.contract import Failure
from training.ranks import Ranks

TIMEOUT = timedelta(hours=1)  # of waiting for the others: the first one evaluates alone. A death is noticed at once


class Several(Ranks):
    __slots__ = ()

    def join(self, meeting: Path) -> None:
        """Meets the others by a file that none of them has written yet. Raises `Failure("too_few_gpus")`."""
        cuda = torch.cuda.is_available()
        if cuda and torch.cuda.device_count() < self.world:
            raise Failure(
                "too_few_gpus",
                f"The run asks for {self.world} processes with a GPU each, and this machine has {torch.cuda.device_count()}.",
                advice="Ask for as many processes as there are GPUs.",
            )
        if cuda:
            torch.cuda.set_device(self.rank)
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            init_method=f"file://{meeting}",
            rank=self.rank,
            world_size=self.world,
            timeout=TIMEOUT,
        )

    def total(self, value: float) -> float:
        summed = torch.tensor(value, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
        dist.all_reduce(summed)
        return summed.item()


# Models


def spread(model: nn.Module, ranks: Ranks) -> nn.Module:
    """What to call instead of `model` for a loss to go back from; its weights stay where they are named."""
    if ranks.world == 1:
        return model
    if not ranks.is_cut:
        return DistributedDataParallel(model, forward_sync_buffers=False)
    cut(model)
    return model


def cut(model: nn.Module) -> None:
    """Cuts a model's weights among processes: each block for itself, the rest together."""
    for block in blocks_of(model):
        fully_shard(block)
    fully_shard(model)


def blocks_of(model: nn.Module) -> Iterator[nn.Module]:
    """The members of a model's outermost lists of modules."""
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from blocks_of(child)


@contextmanager
def unsynchronised(model: nn.Module) -> Iterator[None]:
    """Gradients of the backward passes within stay this process's own, to be added to by the next pass."""
    if isinstance(model, DistributedDataParallel):
        with model.no_sync():
            yield
    elif isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            model.set_requires_gradient_sync(True)
    else:
        yield


# Whole tensors, and parts of them


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be cut; each process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_part(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, given: Tensor) -> Tensor:
    """`given`, which is whole and the same everywhere, cut and placed as `tensor` is."""
    given = given.to(tensor.device)
    if not isinstance(tensor, DTensor):
        return given
    return distribute_tensor(given, tensor.device_mesh, tensor.placements, src_data_rank=None)


def whole_state(model: nn.Module, *, keep: bool) -> dict[str, Tensor]:
    """A state dict of whole tensors on the CPU, tied ones as one; empty where they are not to be kept. Each must ask."""
    found: dict[str, Tensor] = {}
    seen: dict[int, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            full = whole(tensor.detach())
            seen[id(tensor)] = full.cpu() if keep else full.new_empty(0)
        found[name] = seen[id(tensor)]
    return found if keep else {}


def map_tensors(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Nested dicts and lists with each tensor changed, in one order everywhere."""
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {key: map_tensors(value, change) for key, value in state.items()}
    if isinstance(state, list):
        return [map_tensors(value, change) for value in state]
    return state
