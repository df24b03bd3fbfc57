"""Sampling from a causal model in batches, each sequence from a seed and at a temperature of its own.

A sequence's lots are drawn from its seed alone, one a token, so neither its company in the batch nor an interruption
changes them. (The arithmetic of a batch is the same only to rounding: in bfloat16 another company may tip a token.)

Shapes: B sequences, T positions of prompt and what was sampled so far, V tokens of the vocabulary.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from training.context import Stopped
from training.contract import Failure


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model answered. `ids` end in the end token if it `ended`; `logprob` is their summed log-probability
    at the temperature they were sampled at, in nats, before `top_p` cut anything off.
    """

    ids: list[int]
    text: str
    logprob: float
    ended: bool


@dataclass(slots=True)
class Row:
    """A sequence while it is sampled."""

    place: int
    prompt: list[int]
    lots: Any
    temperature: float
    most: int
    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    ended: bool = False


def seed_of(*parts: object) -> int:
    """A seed that follows from `parts`. Stable across machines; below 2^63."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def seeds_of(prompts: list[list[dict[str, str]]], *parts: object, samples: int) -> list[list[int]]:
    """`samples` seeds for each of `prompts` (conversations), which follow from `parts` and from what a prompt says.

    Not from its id or place: the same prompts give the same samples in any database. Of two prompts that say the same,
    the second has seeds of its own.
    """
    told: Counter[str] = Counter()
    seeds = []
    for messages in prompts:
        words = repr([(message["role"], message["content"]) for message in messages])
        seeds.append([seed_of(*parts, words, told[words], i) for i in range(samples)])
        told[words] += 1
    return seeds


@torch.no_grad()
def sample(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    *,
    seeds: list[int],
    temperatures: list[float],
    top_p: float,
    max_new_tokens: int,
    batch_size: int,
    tell: Callable[[int], None] | None = None,
    stop_requested: Callable[[], bool] | None = None,
) -> list[Sample]:
    """One answer to each of `prompts` (token ids), in their order; prompts of similar length share a batch.

    `tell` hears after each batch how many sequences are done; `stop_requested` is asked at each token and ends the
    sampling with `Stopped`. Raises `Failure("prompt_too_long")` for a prompt that fills the model's context.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rows = []
    for place, (prompt, seed, temperature) in enumerate(zip(prompts, seeds, temperatures, strict=True)):
        most = max_new_tokens if context is None else min(max_new_tokens, context - len(prompt))
        if most < 1:
            raise Failure(
                "prompt_too_long",
                f"A prompt has {len(prompt)} tokens and leaves no room for an answer: the model reads {context}.",
                advice="Leave out prompts of that length.",
            )
        rows.append(Row(place, prompt, np.random.default_rng(seed).random(most), temperature, most))
    ends = end_tokens(model, tokenizer)
    order = sorted(rows, key=lambda row: len(row.prompt))
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            sample_batch(
                model, batch, ends=ends, top_p=top_p, pad=tokenizer.pad_token_id, stop_requested=stop_requested
            )
            if tell:
                tell(start + len(batch))
    finally:
        model.train(was_training)
    return [
        Sample(row.ids, tokenizer.decode(row.ids, skip_special_tokens=True), row.logprob, row.ended) for row in rows
    ]


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    more = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (tokenizer.eos_token_id, *more) if token is not None)


def sample_batch(
    model: Any,
    rows: list[Row],
    *,
    ends: frozenset[int],
    top_p: float,
    pad: int,
    stop_requested: Callable[[], bool] | None,
) -> None:
    """Fills `ids`, `logprob` and `ended` of each row; rows that are done leave the batch."""
    device = model.device
    longest = max(len(row.prompt) for row in rows)
    ids_BT = torch.full((len(rows), longest), pad)
    mask_BT = torch.zeros((len(rows), longest), dtype=torch.long)
    for b, row in enumerate(rows):  # padded on the left: all sequences end, and go on, at one place
        ids_BT[b, longest - len(row.prompt) :] = torch.tensor(row.prompt)
        mask_BT[b, longest - len(row.prompt) :] = 1
    ids_BT, mask_BT = ids_BT.to(device), mask_BT.to(device)
    positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    live = list(rows)
    while live:
        if stop_requested and stop_requested():
            raise Stopped
        logits_BV = model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        tokens_B = draw(logits_BV, live, top_p=top_p)
        going = [b for b, row in enumerate(live) if not took(row, int(tokens_B[b]), ends=ends)]
        positions_BT = positions_BT[:, -1:] + 1
        if len(going) < len(live):
            keep_B = torch.tensor(going, dtype=torch.long, device=device)
            live = [live[b] for b in going]
            if live:
                cache.batch_select_indices(keep_B)
            tokens_B, mask_BT, positions_BT = tokens_B[keep_B], mask_BT[keep_B], positions_BT[keep_B]
        ids_BT = tokens_B[:, None]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones((len(live), 1))], dim=1)


def draw(logits_BV: Tensor, rows: list[Row], *, top_p: float) -> Tensor:
    """One token a row, where its lot falls on the summed probabilities; adds its log-probability to the row."""
    temperatures_B = torch.tensor([row.temperature for row in rows], device=logits_BV.device)
    lots_B = torch.tensor([row.lots[len(row.ids)] for row in rows], dtype=torch.float32, device=logits_BV.device)
    # In place where it can be: at a vocabulary of 50,000, passes over it cost as much as a small model does.
    logits_BV = logits_BV / temperatures_B[:, None]
    most_B = logits_BV.amax(dim=-1, keepdim=True)
    weights_BV = (logits_BV - most_B).exp_()
    lognorm_B = most_B.squeeze(1) + weights_BV.sum(dim=-1).log()
    if top_p < 1:
        weights_BV = nucleus(weights_BV, top_p=top_p)
    sums_BV = weights_BV.cumsum(dim=-1)
    tokens_B1 = torch.searchsorted(sums_BV, (lots_B * sums_BV[:, -1])[:, None], right=True).clamp_(
        max=sums_BV.shape[1] - 1
    )
    # A lot of nearly 1 may round onto the end of the sums, where the last token of any probability stands.
    if (weights_BV.gather(1, tokens_B1) == 0).any():
        last_B1 = sums_BV.shape[1] - 1 - (weights_BV.flip(1) > 0).int().argmax(dim=1, keepdim=True)
        tokens_B1 = torch.minimum(tokens_B1, last_B1)
    logps_B = logits_BV.gather(1, tokens_B1).squeeze(1) - lognorm_B
    for row, logp in zip(rows, logps_B.tolist(), strict=True):
        row.logprob += logp
    return tokens_B1.squeeze(1)


def nucleus(weights_BV: Tensor, *, top_p: float) -> Tensor:
    """The weights with all zero but the heaviest that reach `top_p` together (Holtzman et al. 2019, arXiv 1904.09751)."""
    sorted_BV, order_BV = weights_BV.sort(dim=-1, descending=True)
    before_BV = sorted_BV.cumsum(dim=-1) - sorted_BV
    # The token that crosses `top_p` is kept, so at least one is.
    enough_B1 = top_p * sorted_BV.sum(dim=-1, keepdim=True)
    return weights_BV.scatter(-1, order_BV, sorted_BV.masked_fill(before_BV >= enough_B1, 0.0))


def took(row: Row, token: int, *, ends: frozenset[int]) -> bool:
    """Appends the token; true if the row is done by it."""
    row.ids.append(token)
    row.ended = token in ends
    return row.ended or len(row.ids) == row.most
