"""The random state of a process: taken, put back, and set from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RandomState:
    """Of torch (CPU and each CUDA device), numpy and Python; made of tensors and plain values, fit for a checkpoint."""

    torch: Tensor
    cuda: list[Tensor]
    numpy: tuple[str, list[int], int, int, float]
    python: tuple[int, tuple[int, ...], float | None]

    def as_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> RandomState:
        return cls(**plain)


def capture() -> RandomState:
    drawn: Any = np.random.get_state(legacy=True)
    name, keys, place, has_gauss, gauss = drawn
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    version, words, second = random.getstate()
    return RandomState(
        torch.get_rng_state(), cuda, (str(name), keys.tolist(), place, has_gauss, gauss), (version, words, second)
    )


def restore(state: RandomState) -> None:
    torch.set_rng_state(state.torch)
    if state.cuda:
        torch.cuda.set_rng_state_all(state.cuda)
    name, keys, place, has_gauss, gauss = state.numpy
    np.random.set_state((name, np.array(keys, dtype=np.uint32), place, has_gauss, gauss))
    version, words, second = state.python
    random.setstate((version, tuple(words), second))


def seed_everything(seed: int) -> None:
    torch.manual_seed(seed)  # of CUDA, too
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Whatever is drawn inside leaves no trace outside."""
    before = capture()
    try:
        yield
    finally:
        restore(before)
