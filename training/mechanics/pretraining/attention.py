"""Attention over short rows on a CPU, as two products of matrices and a softmax.

torch's own attention for CPUs is made for long rows: in bfloat16, with 256 tokens a row and heads of 64, it takes three times as
long there and back as the plain products do, which was a quarter of a step. Its scores never leave its cache; ours are
T x T numbers for each head, so rows must be short. Scores are rounded to bfloat16, as all products under autocast are.

Legend: B rows, H heads, T tokens a row, D width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME, LONGEST = "short_rows", 512
ABLE = ("llama", "qwen3", "gpt2", "bert", "modernbert")


@lru_cache(maxsize=4)
def unseen(length: int, dtype: torch.dtype) -> Tensor:
    """Minus infinity for what stands behind (TT)."""
    return torch.full((length, length), float("-inf"), dtype=dtype).triu(1)


@lru_cache(maxsize=4)
def too_far(length: int, window: int, dtype: torch.dtype) -> Tensor:
    """Minus infinity for what is `window` tokens away or more, on either side (TT)."""
    far = torch.full((length, length), float("-inf"), dtype=dtype)
    return far.triu(window) + far.tril(-window)


def attend(
    module: Any,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: None,
    scaling: float,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """As transformers asks for it: B, T, H, D comes out. Nothing is padded: masks are the causal one and ModernBERT's windows."""
    rows, heads, length, width = query_BHTD.shape
    query, key, value = (one.reshape(rows * heads, length, width) for one in (query_BHTD, key_BHTD, value_BHTD))
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
    window = kwargs.get("sliding_window")  # of ModernBERT, whose layers look to both sides
    if kwargs.get("is_causal", module.is_causal):
        scores = torch.baddbmm(unseen(length, dtype), query, key.transpose(1, 2), alpha=scaling)
    elif window is not None and window < length:
        scores = torch.baddbmm(too_far(length, window, dtype), query, key.transpose(1, 2), alpha=scaling)
    else:
        scores = torch.bmm(query, key.transpose(1, 2)) * scaling
    found = torch.bmm(torch.softmax(scores, dim=-1), value)
    return found.view(rows, heads, length, width).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attend)


def pays(*, architecture: str, context: int, device: torch.device, bf16: bool) -> bool:
    return architecture in ABLE and context <= LONGEST and device.type == "cpu" and bf16


@contextmanager
def short_rows(model: Any, *, on: bool) -> Iterator[None]:
    """The model reads whole rows by `attend` within; what is stored and sampled by is as it was."""
    before = model.config._attn_implementation
    if on:
        model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before
