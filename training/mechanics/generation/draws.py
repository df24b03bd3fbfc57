"""One token of each sequence, where its own lot falls on the probabilities of its own temperature.

Shapes: B sequences, V tokens of the vocabulary, H of them that are the heaviest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

HEAD = 512  # of a vocabulary; sorting all of 49,152 took as long as 20 layers of a small model


@dataclass(slots=True)
class Row:
    """A sequence while it is sampled: a lot a token, at most `most` tokens, no end before `least`."""

    prompt: list[int]
    lots: Any
    temperature: float
    most: int
    least: int = 0
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False
    text: str | None = None  # where a stop string cut it

    @property
    def is_done(self) -> bool:
        return self.ended or len(self.ids) == self.most

    def begun_again(self) -> Row:
        """Itself, as it was before its first token: its lots are the same."""
        self.ids.clear()
        self.logprobs.clear()
        return self


def draw(logits_BV: Tensor, rows: list[Row], *, top_p: float, ends: frozenset[int] = frozenset()) -> list[int]:
    """One token a row; adds it and its log-probability to the row.

    Log-probabilities are the model's own at the row's temperature, whatever `top_p` or `least` kept from being drawn.
    """
    device = logits_BV.device
    temperatures_B = torch.tensor([row.temperature for row in rows], device=device)
    lots_B = torch.tensor([row.lots[len(row.ids)] for row in rows], dtype=torch.float32, device=device)
    # In place where it can be: at a vocabulary of 50,000, passes over it cost as much as a small model does.
    logits_BV = logits_BV / temperatures_B[:, None]
    most_B1 = logits_BV.amax(dim=-1, keepdim=True)
    weights_BV = (logits_BV - most_B1).exp_()
    lognorm_B = most_B1.squeeze(1) + weights_BV.sum(dim=-1).log()
    early = [b for b, row in enumerate(rows) if len(row.ids) < row.least]
    if early:
        weights_BV[early] = endless(logits_BV[early], ends)
    if top_p < 1:
        weights_BV = nucleus(weights_BV, top_p=top_p)
    tokens_B1 = fall(lots_B, weights_BV)
    logps_B = logits_BV.gather(1, tokens_B1).squeeze(1) - lognorm_B
    tokens: list[int] = tokens_B1.squeeze(1).tolist()
    for row, token, logp in zip(rows, tokens, logps_B.tolist(), strict=True):
        row.ids.append(token)
        row.logprobs.append(logp)
    return tokens


def fall(lots_B: Tensor, weights_BV: Tensor) -> Tensor:
    """(B, 1): the token on whose share of the summed weights the lot falls."""
    sums_BV = weights_BV.cumsum(dim=-1)
    tokens_B1 = torch.searchsorted(sums_BV, (lots_B * sums_BV[:, -1])[:, None], right=True).clamp_(
        max=sums_BV.shape[1] - 1
    )
    # A lot of nearly 1 may round onto the end of the sums, where the last token of any probability stands.
    if (weights_BV.gather(1, tokens_B1) == 0).any():
        last_B1 = sums_BV.shape[1] - 1 - (weights_BV.flip(1) > 0).int().argmax(dim=1, keepdim=True)
        tokens_B1 = torch.minimum(tokens_B1, last_B1)
    return tokens_B1


def endless(logits_BV: Tensor, ends: frozenset[int]) -> Tensor:
    """Weights without end tokens, however sure of one the model is."""
    open_BV = logits_BV.index_fill(
        1, torch.tensor(sorted(ends), dtype=torch.long, device=logits_BV.device), float("-inf")
    )
    return (open_BV - open_BV.amax(dim=-1, keepdim=True)).exp_()


def nucleus(weights_BV: Tensor, *, top_p: float) -> Tensor:
    """The weights with all zero but the heaviest that reach `top_p` together (Holtzman et al. 2019, arXiv 1904.09751)."""
    enough_B1 = top_p * weights_BV.sum(dim=-1, keepdim=True)
    heavy_BH, order_BH = weights_BV.topk(min(HEAD, weights_BV.shape[1]), dim=-1)
    if (heavy_BH.sum(dim=-1, keepdim=True) < enough_B1).any():
        heavy_BH, order_BH = weights_BV.sort(dim=-1, descending=True)
    before_BH = heavy_BH.cumsum(dim=-1) - heavy_BH
    # The token that crosses `top_p` is kept, so at least one is.
    kept_BH = heavy_BH.masked_fill(before_BH >= enough_B1, 0.0)
    return torch.zeros_like(weights_BV).scatter_(-1, order_BH, kept_BH)
