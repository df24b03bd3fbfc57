"""The machine's limit for some work: the operations that its matrix products take, at the rate of large ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

SIZE, RUNS = 2048, 10


def of_products(name: str, work: Callable[[], int], *, rate: float, dtype: torch.dtype) -> dict[str, float]:
    """Which part of the limit `rate` units a second reaches; `work` is done once more, to be counted, and says its units.

    Counted by torch (`FlopCounterMode`): products forwards and backwards, adapters and attention included, as they are
    asked for; sums, norms, softmax and the optimizer are not, so nothing can reach the limit.
    """
    with FlopCounterMode(display=False) as counter:
        units = work()
    operations = counter.get_total_flops() / units
    flops = measured_flops(dtype)
    limit = flops / operations
    print(f"machine: {flops / 1e9:.0f} GFLOP/s in {str(dtype).removeprefix('torch.')}, products of {SIZE} x {SIZE}")
    print(
        f"{operations / 1e9:.1f} GFLOP of products a unit of {name}: at most {limit:.3f}/s, {rate / limit:.0%} reached"
    )
    return {"limit_by_products": round(limit, 4), "of_limit_by_products": round(rate / limit, 3)}


def measured_flops(dtype: torch.dtype = torch.bfloat16) -> float:
    """Operations a second in products of large matrices, the best of ten."""
    a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return 2 * SIZE**3 / min(seconds(lambda: a @ b) for _ in range(RUNS))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
