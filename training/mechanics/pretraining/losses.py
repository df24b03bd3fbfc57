"""Losses of pretraining over a large vocabulary: the next token, a hidden token, whether a sentence follows.

The logits of all positions are the largest thing in a small model's step. So the head and the loss are one function here,
which reads positions a chunk at a time and makes their gradients at once: no more than a chunk's logits stand in memory, none
is made twice, and each is touched while it is in the cache. A masked model's head reads the hidden positions alone.

Legend: N positions, D width, V tokens of the vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK, PIECE = 2048, 128  # positions whose slopes stand in memory, and those whose logits lie in a core's cache


class HeadLoss(torch.autograd.Function):
    """Sum over positions of -log p(target) + z (log sum exp of the logits)^2, over `count`; and the first term's sum alone."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, z: float, count: int
    ) -> tuple[Tensor, Tensor]:
        head_VD = weight_VD.to(hidden_ND.dtype)
        to_hidden_ND = torch.empty_like(hidden_ND)
        to_weight_VD = torch.zeros_like(weight_VD)
        to_bias_V = torch.zeros_like(bias_V) if bias_V is not None else None
        room_NV = hidden_ND.new_empty(min(CHUNK, len(hidden_ND)), len(weight_VD))
        nats = extra = hidden_ND.new_zeros((), dtype=torch.float32)
        for hidden, to_hidden, targets in zip(
            hidden_ND.split(CHUNK), to_hidden_ND.split(CHUNK), targets_N[:, None].split(CHUNK), strict=True
        ):
            slope_NV = room_NV[: len(hidden)]
            for piece, slope, wanted in zip(
                hidden.split(PIECE), slope_NV.split(PIECE), targets.split(PIECE), strict=True
            ):
                more, extra_more = slope_of_logits(piece, head_VD, bias_V, wanted, z=z, into=slope)
                nats, extra = nats + more, extra + extra_more
            if to_bias_V is not None:
                to_bias_V += slope_NV.sum(dim=0, dtype=to_bias_V.dtype)
            torch.mm(slope_NV, head_VD, out=to_hidden)
            to_weight_VD += slope_NV.T @ hidden
        ctx.save_for_backward(to_hidden_ND, to_weight_VD, to_bias_V)
        ctx.count = count
        ctx.mark_non_differentiable(nats)
        return (nats + extra) / count, nats.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden_ND, to_weight_VD, to_bias_V = ctx.saved_tensors
        share = slopes[0] / ctx.count
        to_bias = to_bias_V * share if to_bias_V is not None else None
        return to_hidden_ND * share.to(to_hidden_ND.dtype), to_weight_VD * share, to_bias, None, None, None


def slope_of_logits(
    hidden_ND: Tensor, head_VD: Tensor, bias_V: Tensor | None, targets_N1: Tensor, *, z: float, into: Tensor
) -> tuple[Tensor, Tensor]:
    """Writes the gradient by the logits into `into`; gives the nats and z's term, summed.

    At the target the slope is p - 1, which is written from the logarithm: 8 bits would not hold the difference of a p near 1.
    """
    logits_NV = hidden_ND @ head_VD.T
    if bias_V is not None:
        logits_NV = logits_NV + bias_V
    wide = torch.promote_types(logits_NV.dtype, torch.float32)
    log_probs_NV = torch.log_softmax(logits_NV, dim=-1, dtype=wide)
    found_N1 = log_probs_NV.gather(1, targets_N1)
    extra = found_N1.new_zeros(())
    at_target_N1 = found_N1.expm1()
    if not z:
        torch.exp(log_probs_NV, out=into)
    else:
        sums_N1 = logits_NV.gather(1, targets_N1).to(wide) - found_N1
        extra = z * sums_N1.square().sum()
        at_target_N1 = at_target_N1 + 2 * z * sums_N1 * found_N1.exp()
        into.copy_(log_probs_NV.exp_().mul_(1 + 2 * z * sums_N1))
    into.scatter_(1, targets_N1, at_target_N1.to(into.dtype))
    return -found_N1.sum(), extra


def head_loss(head: Any, hidden_ND: Tensor, targets_N: Tensor, *, z: float, count: int) -> tuple[Tensor, Tensor]:
    """The loss to go back from, a part of a mean over `count` positions, and the nats of these alone, summed."""
    with torch.autocast(hidden_ND.device.type, enabled=False):
        found: tuple[Tensor, Tensor] = HeadLoss.apply(hidden_ND, head.weight, head.bias, targets_N, z, count)  # type: ignore[no-untyped-call]
    return found


def causal_loss(
    model: Any, trunk: Any, batch: dict[str, Tensor], *, z: float, count: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """`count`: tokens that have one before them, in the whole step."""
    ids_BT = batch["input_ids"]
    hidden_BTD = trunk(input_ids=ids_BT, use_cache=False).last_hidden_state[:, :-1]
    hidden_ND = hidden_BTD.flatten(0, 1).to(dtype)
    return head_loss(model.get_output_embeddings(), hidden_ND, ids_BT[:, 1:].flatten(), z=z, count=count)


def masked_loss(
    model: Any, trunk: Any, batch: dict[str, Tensor], *, z: float, count: int, dtype: torch.dtype, rows: int
) -> tuple[Tensor, Tensor]:
    """`count`: hidden tokens, and `rows`, in the whole step. Where rows say whether they `follow`, that is learned too."""
    hidden_ND, pooled_BD = masked_states(model, trunk, batch)
    loss, nats = head_loss(model.get_output_embeddings(), hidden_ND.to(dtype), batch["targets"], z=z, count=count)
    if "follows" in batch:
        answer_B2 = model.cls.seq_relationship(pooled_BD).float()
        loss = loss + F.cross_entropy(answer_B2, batch["follows"], reduction="sum") / rows
    return loss, nats


def masked_states(model: Any, trunk: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """What the output layer reads, at the hidden places alone (ND), and what stands for each row (BD)."""
    read = {name: batch[name] for name in ("input_ids", "token_type_ids") if name in batch}
    found = trunk(**read)
    hidden_ND = found.last_hidden_state.flatten(0, 1)[batch["places"]]
    transform = model.head if hasattr(model, "head") else model.cls.predictions.transform
    return transform(hidden_ND), getattr(found, "pooler_output", None)
