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

CHUNK = 512  # positions projected at once: bounds what stands in memory beside the saved logits

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
    """Shapes: B sequences, T positions (the last one dropped), D width, N positions with a label; logits are NV."""
    mask_BT = labels_BT != -100
    chunks = zip(hidden_BTD[mask_BT].split(CHUNK), labels_BT[mask_BT].split(CHUNK), strict=True)
    parts = [score_chunk(head, hidden, labels, statistics=statistics) for hidden, labels in chunks]

    def spread(values: tuple[Tensor, ...]) -> Tensor:
        flat = torch.cat(values)
        return flat.new_zeros(mask_BT.shape).masked_scatter(mask_BT, flat)

    log_probs, entropies, top1 = zip(*parts, strict=True)
    log_probs_BT = spread(log_probs)
    return FusedCausalLMOutput(
        loss=-log_probs_BT.sum() / mask_BT.sum().clamp(min=1),
        log_probs=log_probs_BT,
        entropy=spread(entropies) if statistics else None,
        is_top1=spread(top1) if statistics else None,
        label_mask=mask_BT,
    )


def score_chunk(
    head: nn.Module, hidden_ND: Tensor, labels_N: Tensor, *, statistics: bool
) -> tuple[Tensor, Tensor, Tensor]:
    logits_NV = head(hidden_ND).float()
    log_probs_N = -F.cross_entropy(logits_NV, labels_N, reduction="none")
    if not statistics:
        return log_probs_N, log_probs_N, log_probs_N
    with torch.no_grad():
        entropy_N = torch.distributions.Categorical(logits=logits_NV, validate_args=False).entropy()
        return log_probs_N, entropy_N, logits_NV.argmax(dim=-1) == labels_N


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
