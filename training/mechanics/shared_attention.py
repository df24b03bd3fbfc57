"""Attention over one row of texts that begin alike: a beginning sees itself, a rest sees its beginning and itself.

Shapes: B, H, T, D: batch, heads, positions, numbers a head.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "shared_prefix"  # of our attention, among those of transformers

FEW_SCORES = 2**17  # of a head: 256 tokens that follow 256; the formula keeps them all for its way back
# Lengths go up to a whole number of these where the formula is used: oneDNN keeps a program for each shape that it has met,
# more than half a megabyte, and makes it anew where it has met too many.
STEP = 16
LONG_ROW, ROW_STEP = 256, 64  # of whole rows, for the same reason, from a length on at which it is not much of them

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Block:
    """Where a shared beginning stands in the row (it may be empty), and the rests that go on from it."""

    beginning: Span
    rests: tuple[Span, ...]


@dataclass(slots=True)
class Layout:
    """The blocks of a row in their order; they fill it."""

    blocks: tuple[Block, ...]
    masks: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    @property
    def lengths(self) -> list[int]:
        """Of each beginning and of its rests, in the order of the row."""
        spans = [span for block in self.blocks for span in (block.beginning, *block.rests)]
        return [end - start for start, end in spans]

    def mask(self, beginning: int, rest: int, like: Tensor, *, step: int = 1) -> Tensor:
        """(rest, beginning + rest), added to scores: 0 on the beginning and on what stands before, else minus infinity.

        Both are filled up to multiples of `step`, by texts that nobody sees.
        """
        key = (beginning, rest, step, like.dtype, like.device)
        if key not in self.masks:
            shape = filled(rest, step), filled(beginning + rest, step)
            hidden = torch.full(shape, float("-inf"), dtype=like.dtype, device=like.device)
            self.masks[key] = hidden.triu(diagonal=beginning + 1)
        return self.masks[key]


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    layout: Layout | None = None, scaling: float | None = None, dropout: float = 0.0, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """An attention function of transformers. Without a layout it is SDPA as ever: samples are taken from the same model."""
    if layout is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
        return found
    times = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, times), repeat_kv(value, times)
    # Split at once: each slice by itself would come back as a gradient of the whole row, nearly all of it zeros.
    pieces = zip(*(states.split(layout.lengths, dim=2) for states in (query, key, value)), strict=True)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attend_to = functools.partial(see, layout=layout, scale=scale, dropout=dropout)
    parts = []
    for block in layout.blocks:
        asked, first_keys, first_values = next(pieces)
        if asked.shape[2]:
            parts.append(attend_to(asked, first_keys, first_values))
        for _ in block.rests:
            asked, keys, values = next(pieces)
            keys, values = torch.cat([first_keys, keys], dim=2), torch.cat([first_values, values], dim=2)
            parts.append(attend_to(asked, keys, values))
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def see(query: Tensor, key: Tensor, value: Tensor, *, layout: Layout, scale: float, dropout: float) -> Tensor:
    """softmax(scale q k + mask) v, of one text that goes on from a beginning. SDPA, or the formula where that is faster: few
    scores on a CPU, whose backward pass through SDPA takes more than twice as long (torch 2.13)."""
    rest, whole = query.shape[2], key.shape[2]
    if query.device.type != "cpu" or rest * whole > FEW_SCORES:
        mask = layout.mask(whole - rest, rest, query)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
    # Squeezed, not taken by an index, whose way back fills a row of zeros first.
    query_HTD, key_HTD, value_HTD = (fill(states.squeeze(0)) for states in (query, key, value))
    mask = layout.mask(whole - rest, rest, query, step=STEP)
    scores_HTT = torch.baddbmm(mask.expand(len(query_HTD), -1, -1), query_HTD, key_HTD.transpose(1, 2), alpha=scale)
    shares_HTT = F.dropout(scores_HTT.softmax(dim=-1, dtype=torch.float32).to(value.dtype), dropout)
    return torch.bmm(shares_HTT, value_HTD)[:, :rest].unsqueeze(0)


def fill(states_HTD: Tensor) -> Tensor:
    """With zeros up to a whole number of steps."""
    length = states_HTD.shape[1]
    return F.pad(states_HTD, (0, 0, 0, filled(length, STEP) - length))


def filled_row(length: int) -> int:
    return filled(length, ROW_STEP) if length > LONG_ROW else length


def filled(length: int, step: int) -> int:
    return -(-length // step) * step


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
