"""Log-probabilities of labelled positions alone, on devices where TRL's own head scores every position.

TRL asks its models for `model(..., labels=labels, fused_lm_head=True)`. With Triton it projects only the positions
that have a label; without, every position of the batch, prompts and padding included, several times over in float32
(trl 1.16, `trainer/utils.py`: `compact`). On a CPU and a vocabulary of 49,152 that is most of a step. `add_compact_head`
answers the same call from the labelled positions.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import ModelOutput
from trl.trainer.utils import FusedCausalLMOutput

from training.mechanics.shared_attention import STEP, filled

CHUNK = 512  # positions projected at once: bounds what stands in memory beside the saved logits
PIECE = 128  # those whose logits lie in a core's cache

# Models that change their logits after the projection keep TRL's head, which knows how.
CHANGED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier", "lm_head_multiplier")


def add_compact_head(model: PreTrainedModel, *, statistics: bool) -> None:
    """Replaces what TRL's `add_fused_lm_head` left on `model`, where that would score all positions.

    `statistics` also gives `entropy` and `is_top1`, which TRL's SFT logs.
    """
    config = model.config.get_text_config()
    if any(getattr(config, name, None) is not None for name in CHANGED_LOGITS):
        return
    fused = model.forward

    @functools.wraps(type(model).forward)  # `generate` checks its keywords against this signature
    def forward(
        self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, labels: Tensor | None = None, **kwargs: Any
    ) -> Any:
        if not fused_lm_head or labels is None or labels.device.type != "cpu":
            return fused(*args, fused_lm_head=fused_lm_head, labels=labels, **kwargs)
        kwargs.pop("num_items_in_batch", None)
        kwargs["use_cache"] = False
        hidden_BTD = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        return score(self.get_output_embeddings(), hidden_BTD, labels[:, 1:], statistics=statistics)

    model.forward = MethodType(forward, model)


def score(head: nn.Module, hidden_BTD: Tensor, labels_BT: Tensor, *, statistics: bool) -> FusedCausalLMOutput:
    """Shapes: B sequences, T positions (the last one dropped), D width, N positions with a label."""
    mask_BT = labels_BT != -100
    log_probs_N, entropy_N, is_top1_N = label_scores(head, hidden_BTD[mask_BT], labels_BT[mask_BT])

    def spread(flat: Tensor) -> Tensor:
        return flat.new_zeros(mask_BT.shape).masked_scatter(mask_BT, flat)

    log_probs_BT = spread(log_probs_N)
    return FusedCausalLMOutput(
        loss=-log_probs_BT.sum() / mask_BT.sum().clamp(min=1),
        log_probs=log_probs_BT,
        entropy=spread(entropy_N) if statistics else None,
        is_top1=spread(is_top1_N) if statistics else None,
        label_mask=mask_BT,
    )


def label_scores(head: Any, hidden_ND: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each label its log-probability, the entropy where it stands, and whether it is the likeliest.

    Positions go up to a whole number of steps, for few shapes of matrices.
    """
    device = hidden_ND.device.type
    is_cast = torch.is_autocast_enabled(device)
    hidden_ND = hidden_ND.to(torch.get_autocast_dtype(device) if is_cast else head.weight.dtype)
    blank = filled(len(hidden_ND), STEP) - len(hidden_ND)
    hidden_ND, labels_N = F.pad(hidden_ND, (0, 0, 0, blank)), F.pad(labels_N, (0, blank))
    with torch.autocast(device, enabled=False):
        found: tuple[Tensor, Tensor, Tensor] = LabelScores.apply(  # type: ignore[no-untyped-call]
            hidden_ND, head.weight, head.bias, labels_N, torch.is_grad_enabled()
        )
    log_probs_N, entropy_N, is_top1_N = (values[: len(values) - blank] for values in found)
    return log_probs_N, entropy_N, is_top1_N


class LabelScores(torch.autograd.Function):
    """The logits are read once, a piece that a core's cache holds at a time; kept is their slope alone, which is the softmax
    less 1 at the label. A position's own slope on the way back is a factor of its row, so it can be put in later.

    Shapes: N positions, D width, V tokens of the vocabulary.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, labels_N: Tensor, keeps: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        head_VD = weight_VD.to(hidden_ND.dtype)
        bias_V = bias_V.to(hidden_ND.dtype) if bias_V is not None else None
        slope_NV = hidden_ND.new_empty(len(hidden_ND) if keeps else 0, len(head_VD))
        found = []
        for start in range(0, len(hidden_ND), PIECE):
            some = slice(start, start + PIECE)
            found.append(score_piece(F.linear(hidden_ND[some], head_VD, bias_V), labels_N[some], into=slope_NV[some]))
        log_probs, entropies, top1 = zip(*found, strict=True) if found else ((), (), ())
        none = hidden_ND.new_empty(0, dtype=torch.promote_types(hidden_ND.dtype, torch.float32))
        told = torch.cat([*log_probs, none]), torch.cat([*entropies, none]), torch.cat([*top1, none.bool()])
        ctx.mark_non_differentiable(*told[1:])
        ctx.save_for_backward(hidden_ND, weight_VD, bias_V, slope_NV)
        return told

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        hidden_ND, weight_VD, bias_V, slope_NV = ctx.saved_tensors
        factor_N1 = -slopes[0][:, None]  # of a log-probability the slope is the label's 1 less the softmax
        asks = ctx.needs_input_grad
        to_hidden = to_weight = to_bias = None
        if asks[0]:
            to_hidden = (slope_NV @ weight_VD.to(slope_NV.dtype)) * factor_N1.to(slope_NV.dtype)
        if asks[1]:
            to_weight = (slope_NV.T @ (hidden_ND * factor_N1).to(slope_NV.dtype)).to(weight_VD.dtype)
        if asks[2] and bias_V is not None:
            to_bias = (slope_NV * factor_N1).sum(dim=0).to(bias_V.dtype)
        return to_hidden, to_weight, to_bias, None, None


def score_piece(logits_NV: Tensor, labels_N: Tensor, *, into: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Writes the slope into `into`, where there is room. At the label it is written from the logarithm: 8 bits would not
    hold the difference of a probability near 1."""
    wide = torch.promote_types(logits_NV.dtype, torch.float32)
    log_probs_NV = torch.log_softmax(logits_NV, dim=-1, dtype=wide)
    found_N1 = log_probs_NV.gather(1, labels_N[:, None])
    probs_NV = log_probs_NV.exp()
    entropy_N = -torch.bmm(probs_NV[:, None], log_probs_NV[:, :, None]).flatten()
    if len(into):
        into.copy_(probs_NV).scatter_(1, labels_N[:, None], found_N1.expm1().to(into.dtype))
    entropy_N.nan_to_num_(0.0)  # of a token that a model rules out, 0 times its logarithm
    return found_N1.squeeze(1), entropy_N, log_probs_NV.argmax(dim=-1) == labels_N


def add_text_log_probs(model: PreTrainedModel) -> None:
    """Makes a language model answer `asked_*` of `shared_prefix.read_together` with `log_probs`, summed by text (U,)."""
    config = model.config.get_text_config()
    changes_logits = any(getattr(config, name, None) is not None for name in CHANGED_LOGITS)
    plain = model.forward

    @functools.wraps(type(model).forward)
    def forward(
        self: PreTrainedModel, *args: Any, asked_ids: Tensor | None = None, asked_places: Tensor | None = None,
        asked_of: Tensor | None = None, num_texts: int = 0, squares: bool = False, **kwargs: Any,
    ) -> Any:  # fmt: skip
        if asked_ids is None or asked_places is None or asked_of is None:
            return plain(*args, **kwargs)
        num_asked = len(asked_ids)
        blank = filled(num_asked, STEP) - num_asked  # of few shapes, as in `label_scores`
        asked_ids, asked_places = F.pad(asked_ids, (0, blank)), F.pad(asked_places, (0, blank))
        if changes_logits:
            logits_NV = plain(*args, **kwargs, use_cache=False).logits.flatten(0, 1)[asked_places].float()
            log_probs_N = -F.cross_entropy(logits_NV, asked_ids, reduction="none")
            squares_N = log_sum_squares(logits_NV) if squares else None
        else:
            hidden_RTD = self.base_model(*args, **kwargs, use_cache=False).last_hidden_state
            chunks = zip(hidden_RTD.flatten(0, 1)[asked_places].split(CHUNK), asked_ids.split(CHUNK), strict=True)
            head = self.get_output_embeddings()
            parts = [score_asked(head, hidden, ids, squares=squares) for hidden, ids in chunks]
            log_probs_N = torch.cat([part for part, _ in parts])
            squares_N = torch.cat([part for _, part in parts]) if squares else None
        log_probs_N, squares_N = log_probs_N[:num_asked], squares_N[:num_asked] if squares_N is not None else None
        log_probs_U = log_probs_N.new_zeros(num_texts).index_add(0, asked_of, log_probs_N)
        return TextLogProbs(log_probs_U, log_probs_N, squares_N)

    model.forward = MethodType(forward, model)


def score_asked(head: nn.Module, hidden_ND: Tensor, ids_N: Tensor, *, squares: bool) -> tuple[Tensor, Tensor]:
    logits_NV = head(hidden_ND).float()
    log_probs_N = -F.cross_entropy(logits_NV, ids_N, reduction="none")
    return log_probs_N, log_sum_squares(logits_NV) if squares else log_probs_N


@torch.no_grad()
def log_sum_squares(logits_NV: Tensor) -> Tensor:
    """(N,): log of the sum over the vocabulary of p^2, without gradient."""
    return torch.logsumexp(2 * logits_NV, dim=-1) - 2 * torch.logsumexp(logits_NV, dim=-1)


@dataclass
class TextLogProbs(ModelOutput):
    """Of each text (U,), and of each token that was asked for (N,), with `log_sum_squares` where it was asked for."""

    log_probs: Tensor | None = None
    by_token: Tensor | None = None
    squares: Tensor | None = None


def add_exact_score(model: PreTrainedModel) -> None:
    """Makes a sequence classifier of transformers read its scores at `last_places` (U,), in float32."""

    @functools.wraps(type(model).forward)
    def forward(self: PreTrainedModel, *args: Any, last_places: Tensor, **kwargs: Any) -> Any:
        hidden_RTD = self.base_model(*args, **kwargs).last_hidden_state
        hidden_UD = hidden_RTD.flatten(0, 1)[last_places]
        with torch.autocast(hidden_UD.device.type, enabled=False):
            head: Any = self.score
            return SequenceClassifierOutput(logits=head(hidden_UD.float()))

    model.forward = MethodType(forward, model)
