"""How likely a model finds completions, and what a reward model thinks of conversations; in batches of one length.

Shapes: B sequences, T positions, D width, V tokens of the vocabulary, N positions of a completion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.context import Stopped
from training.mechanics.datasets import Message, num_before, render_conversation
from training.mechanics.memory import Room
from training.mechanics.models import RewardScale
from training.mechanics.reward.score_rule import rule_of
from training.mechanics.virtual_tokens import Virtual, split


@dataclass(frozen=True, slots=True)
class Completion:
    """Token ids; those of `ids` are scored, given the prompt."""

    prompt: list[int]
    ids: list[int]


@torch.no_grad()
def token_logprobs(
    model: Any,
    completions: list[Completion],
    *,
    pad_token_id: int,
    batch_size: int,
    temperature: float = 1.0,
    tell: Callable[[int], None] | None = None,
    stop_requested: Callable[[], bool] | None = None,
    room: Room | None = None,
) -> list[Tensor]:
    """For each completion the log-probability of each of its tokens (N,), float32 on the CPU, in nats."""
    room = room or Room()
    trunk, virtual = split(model)
    read = partial(logprobs_together, trunk, virtual=virtual, pad_token_id=pad_token_id, temperature=temperature)
    lengths = [len(c.prompt) + len(c.ids) for c in completions]
    found: list[Tensor] = [torch.empty(0)] * len(completions)
    done = 0
    for places in by_length(lengths, batch_size=batch_size, stop_requested=stop_requested):
        parts = room.halve([completions[place] for place in places], read, ids=lambda c: [*c.prompt, *c.ids])
        for place, logps_N in zip(places, [logps_N for part in parts for logps_N in part], strict=True):
            found[place] = logps_N
        done += len(places)
        if tell:
            tell(done)
    return found


def logprobs_together(
    model: Any,
    batch: Sequence[Completion],
    *,
    pad_token_id: int,
    temperature: float,
    virtual: Virtual | None = None,
) -> list[Tensor]:
    ids_BT, mask_BT = pad_right([[*c.prompt, *c.ids] for c in batch], pad_token_id=pad_token_id)
    # Only positions that foresee a completion's token are projected onto the vocabulary.
    first = min(len(c.prompt) for c in batch) - 1
    before = {}
    if virtual:
        before["past_key_values"] = virtual.cache(len(batch))
        mask_BT = torch.cat([mask_BT.new_ones(len(batch), virtual.count), mask_BT], dim=1)
    logits_BTV = model(
        input_ids=ids_BT.to(model.device),
        attention_mask=mask_BT.to(model.device),
        use_cache=False,
        logits_to_keep=ids_BT.shape[1] - first,
        **before,
    ).logits
    found = []
    for c, logits_TV in zip(batch, logits_BTV, strict=True):
        start = len(c.prompt) - 1 - first
        # One sequence at a time in float32: a whole batch of vocabularies is what fills a memory.
        logps_NV = (logits_TV[start : start + len(c.ids)].float() / temperature).log_softmax(dim=-1)
        ids_N = torch.tensor(c.ids, dtype=torch.long, device=logps_NV.device)
        found.append(logps_NV.gather(1, ids_N[:, None]).squeeze(1).cpu())
    return found


@torch.no_grad()
def rewards(
    model: Any,
    tokenizer: Any,
    conversations: list[list[Message]],
    *,
    scale: RewardScale,
    batch_size: int,
    tell: Callable[[int], None] | None = None,
    stop_requested: Callable[[], bool] | None = None,
    room: Room | None = None,
) -> list[float]:
    """Normalised scores of whole conversations, read at their last token: the very text that training scored.

    Several heads and the length of the answer come to a score by the model's own rule.
    """
    room, rule = room or Room(), rule_of(model)
    texts = [render_conversation(tokenizer, messages) for messages in conversations]
    found = [0.0] * len(texts)

    def read(some: Sequence[list[int]]) -> Tensor:
        ids_BT, mask_BT = pad_right(list(some), pad_token_id=tokenizer.pad_token_id)
        return raw_scores(model, ids_BT.to(model.device), mask_BT.to(model.device))

    done = 0
    for places in by_length([len(ids) for ids in texts], batch_size=batch_size, stop_requested=stop_requested):
        parts = room.halve([texts[place] for place in places], read, ids=lambda ids: ids)
        for place, raw in zip(places, torch.cat(parts).tolist(), strict=True):
            if rule.length_slope:
                before = num_before(tokenizer, conversations[place])
                raw = rule.corrected(raw, answer_tokens=len(texts[place]) - before)
            found[place] = scale.normalise(raw)
        done += len(places)
        if tell:
            tell(done)
    return found


def raw_scores(model: Any, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """(B,) of right-padded sequences; the heads work in float32, whatever the model's body does."""
    hidden_BTD = model.base_model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).last_hidden_state
    last_B = mask_BT.sum(dim=1) - 1
    return head_scores(model, hidden_BTD[torch.arange(len(last_B), device=last_B.device), last_B])


def head_scores(model: Any, hidden_ND: Tensor) -> Tensor:
    """(N,) in float32, of all heads by the model's own rule; the answers' lengths are not in it yet."""
    return rule_of(model).combined(F.linear(hidden_ND.float(), model.score.weight.float()))


def by_length(lengths: list[int], *, batch_size: int, stop_requested: Callable[[], bool] | None) -> Iterator[list[int]]:
    """Places of sequences in batches of similar length. Raises `Stopped` between two of them, on request."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    for start in range(0, len(order), batch_size):
        if stop_requested and stop_requested():
            raise Stopped
        yield order[start : start + batch_size]


def pad_right(sequences: list[list[int]], *, pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, both (B, T)."""
    longest = max(len(ids) for ids in sequences)
    ids_BT = torch.full((len(sequences), longest), pad_token_id)
    mask_BT = torch.zeros((len(sequences), longest), dtype=torch.long)
    for b, ids in enumerate(sequences):
        ids_BT[b, : len(ids)] = torch.tensor(ids)
        mask_BT[b, : len(ids)] = 1
    return ids_BT, mask_BT
