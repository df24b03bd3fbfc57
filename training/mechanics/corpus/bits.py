"""Bits per byte: how well a language model foresees a text, in a unit that no choice of tokenizer can flatter.

bits per byte = (sum over all tokens of -log2 p(token | what stands before it)) / (bytes of the text in UTF-8)

The end of a document is foreseen too and counted, and adds no byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.mechanics.corpus.packing import Stream, windows

UNIGRAM_SHARE = 0.2  # of the bigram's mixture


@torch.no_grad()
def bits_per_byte(
    model: Any, stream: Stream, *, length: int, batch_size: int, autocast: Any, tell: Callable[[int, int], None]
) -> float:
    """Of `model` on a whole stream, each token seen with at most `length` before it. Puts the model back into training."""
    device = next(model.parameters()).device
    rows = list(windows(stream, length=length))
    was_training = model.training
    model.eval()
    nats = 0.0
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        same = [pair for pair in batch if len(pair[0]) == len(batch[0][0])]
        rest = [pair for pair in batch if len(pair[0]) != len(batch[0][0])]  # the stream's last window, alone
        for part in (same, rest):
            if part:
                inputs_BT, targets_BT = (
                    torch.from_numpy(np.stack(side)).to(device) for side in zip(*part, strict=True)
                )
                with autocast():
                    logits_BTV = model(input_ids=inputs_BT, use_cache=False).logits
                nats += summed_nats(logits_BTV, targets_BT)
        tell(min(start + batch_size, len(rows)), len(rows))
    model.train(was_training)
    return nats / math.log(2) / stream.num_bytes


def summed_nats(logits_BTV: Tensor, targets_BT: Tensor) -> float:
    nats = F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="sum")
    return float(nats)


# What a model must beat: counting


def unigram_bits_per_byte(train: Stream, held_out: Stream, *, vocab_size: int) -> float:
    """Of a model that knows how often each token occurs in `train` (one added to each count)."""
    return -float(np.log2(unigram(train, vocab_size=vocab_size)[held_out.tokens[1:]]).sum()) / held_out.num_bytes


def bigram_bits_per_byte(train: Stream, held_out: Stream, *, vocab_size: int) -> float:
    """Of a model that knows which token follows which in `train`, mixed with `UNIGRAM_SHARE` of the unigram model."""
    firsts = np.bincount(train.tokens[:-1], minlength=vocab_size)
    keys, counts = np.unique(pair_keys(train, vocab_size=vocab_size), return_counts=True)
    wanted = pair_keys(held_out, vocab_size=vocab_size)
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    seen = np.where(keys[place] == wanted, counts[place], 0)
    follows = seen / np.maximum(firsts[held_out.tokens[:-1]], 1)
    alone = unigram(train, vocab_size=vocab_size)[held_out.tokens[1:]]
    return -float(np.log2((1 - UNIGRAM_SHARE) * follows + UNIGRAM_SHARE * alone).sum()) / held_out.num_bytes


def unigram(train: Stream, *, vocab_size: int) -> Any:
    counts = np.bincount(train.tokens, minlength=vocab_size) + 1.0
    return counts / counts.sum()


def pair_keys(stream: Stream, *, vocab_size: int) -> Any:
    tokens = stream.tokens.astype(np.int64)
    return tokens[:-1] * vocab_size + tokens[1:]
