"""Bits per byte: how well a language model foresees a text, in a unit that no choice of tokenizer can flatter.

bits per byte = (sum over all tokens of -log2 p(token | what stands before it)) / (bytes of the text in UTF-8)

The end of a document is foreseen too and counted, and adds no byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.mechanics.corpus.packing import Ints, Stream, windows

COUNTED, CHUNK = 2**24, 2**20


@torch.no_grad()
def bits_per_byte(
    model: Any, stream: Stream, *, length: int, batch_size: int, autocast: Any, tell: Callable[[int, int], None]
) -> float:
    """Of `model` on a whole stream, each token seen with at most `length` before it. Puts the model back into training."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    nats, done, total = 0.0, 0, math.ceil(max(len(stream) - 1, 0) / length)
    for sides in windows(stream, length=length, count=batch_size):
        inputs_BT, targets_BT = (torch.from_numpy(side).to(device) for side in sides)
        with autocast():
            logits_BTV = model(input_ids=inputs_BT, use_cache=False).logits
        nats += summed_nats(logits_BTV, targets_BT)
        done += len(inputs_BT)
        tell(done, total)
    model.train(was_training)
    return nats / math.log(2) / stream.num_bytes


def summed_nats(logits_BTV: Tensor, targets_BT: Tensor) -> float:
    nats = F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="sum")
    return float(nats)


# What a model must beat: counting, at most the first `COUNTED` tokens, a chunk at a time


def unigram_bits_per_byte(train: Stream, held_out: Stream, *, vocab_size: int) -> float:
    """Of a model that knows how often each token occurs in `train` (one added to each count)."""
    share = unigram(train, vocab_size=vocab_size)
    return sum(-float(np.log2(share[tokens[1:]]).sum()) for tokens in chunks(held_out)) / held_out.num_bytes


def bigram_bits_per_byte(train: Stream, held_out: Stream, *, vocab_size: int) -> float:
    """Of a model that knows which token follows which in `train`, with the smoothing of Kneser and Ney (1995).

    What is taken from pairs that were seen goes to tokens by the number of tokens that they follow, one added to each.
    """
    keys, counts = pair_counts(train, vocab_size=vocab_size)
    taken = discount(counts)
    firsts = np.bincount(keys // vocab_size, weights=counts, minlength=vocab_size)
    kinds = np.bincount(keys // vocab_size, minlength=vocab_size)
    before = np.bincount(keys % vocab_size, minlength=vocab_size) + 1.0
    left = np.where(firsts > 0, taken * kinds / np.maximum(firsts, 1), 1.0)
    share = before / before.sum()
    bits = 0.0
    for tokens in chunks(held_out):
        wanted = pair_keys(tokens, vocab_size=vocab_size)
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        seen = np.where(keys[place] == wanted, counts[place] - taken, 0.0)
        follows = seen / np.maximum(firsts[tokens[:-1]], 1)
        bits -= float(np.log2(follows + left[tokens[:-1]] * share[tokens[1:]]).sum())
    return bits / held_out.num_bytes


def discount(counts: Ints) -> float:
    """By how many pairs were seen once and twice (Ney, Essen and Kneser 1994); 3/4 where too few were to say."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else 0.75


def unigram(train: Stream, *, vocab_size: int) -> Any:
    counts = np.ones(vocab_size)
    for tokens in chunks(train, most=COUNTED):
        counts += np.bincount(tokens[1:], minlength=vocab_size)
    if len(train):
        counts[train.read(0, 1)] += 1
    return counts / counts.sum()


def pair_counts(train: Stream, *, vocab_size: int) -> tuple[Ints, Ints]:
    """How often each pair of tokens stands in the stream, by its key, in order."""
    keys = counts = np.zeros(0, dtype=np.int64)
    for tokens in chunks(train, most=COUNTED):
        more, how_often = np.unique(pair_keys(tokens, vocab_size=vocab_size), return_counts=True)
        keys, place = np.unique(np.concatenate([keys, more]), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate([counts, how_often])).astype(np.int64)
    return keys, counts


def pair_keys(tokens: Ints, *, vocab_size: int) -> Ints:
    return tokens[:-1] * vocab_size + tokens[1:]


def chunks(stream: Stream, *, most: int | None = None) -> Iterator[Ints]:
    """The stream's tokens, each chunk beginning with the last token of the one before."""
    last = min(len(stream), most or len(stream)) - 1
    for start in range(0, last, CHUNK):
        yield stream.read(start, min(start + CHUNK, last) + 1)
