"""How well a masked model finds hidden tokens of held-out text, beside what counting would find.

The majority baseline always says the most frequent token; the bigram baseline what most often follows the token on the left,
where that one can be seen. A model that does not beat them has learned nothing of a text's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.mechanics.corpus.bits import pair_counts, unigram
from training.mechanics.corpus.packing import Ints, Stream
from training.mechanics.pretraining.losses import masked_states
from training.mechanics.pretraining.masking import Gaps, MaskedRows, Words


def batches(held_out: MaskedRows, *, batch_size: int, most: int | None = None) -> Iterator[Gaps]:
    count = min(held_out.rows.rows_per_pass, most or held_out.rows.rows_per_pass)
    for first in range(0, count, batch_size):
        yield held_out.batch(first, min(batch_size, count - first))


def tensors(gaps: Gaps, device: torch.device) -> dict[str, Tensor]:
    named = {name: getattr(gaps, name) for name in gaps.__slots__}
    return {name: torch.from_numpy(array).to(device) for name, array in named.items() if array is not None}


@torch.no_grad()
def measure(
    model: Any, held_out: MaskedRows, *, batch_size: int, most: int, autocast: Any, tell: Callable[[int, int], None]
) -> dict[str, float]:
    """Loss in nats and accuracy on the hidden tokens of at most `most` rows; of the second task, where there is one."""
    nats = right = count = followed = rows = 0.0
    total = min(most, held_out.rows.rows_per_pass)
    model.eval()
    for gaps in batches(held_out, batch_size=batch_size, most=most):
        batch = tensors(gaps, next(model.parameters()).device)
        with autocast():
            hidden_ND, pooled_BD = masked_states(model, model.base_model, batch)
            logits_NV = model.get_output_embeddings()(hidden_ND).float()
            nats += F.cross_entropy(logits_NV, batch["targets"], reduction="sum").item()
            right += (logits_NV.argmax(dim=-1) == batch["targets"]).sum().item()
            if "follows" in batch:
                answers_B = model.cls.seq_relationship(pooled_BD).argmax(dim=-1)
                followed += (answers_B == batch["follows"]).sum().item()
        count, rows = count + len(gaps.targets), rows + len(gaps.input_ids)
        tell(int(rows), total)
    model.train()
    found = {"eval_loss": nats / max(count, 1), "eval_masked_accuracy": right / max(count, 1)}
    return found | ({"eval_next_sentence_accuracy": followed / max(rows, 1)} if held_out.masking.next_sentence else {})


def baselines(train: Stream, held_out: MaskedRows, words: Words, *, batch_size: int) -> dict[str, float]:
    vocab_size = len(words.may_choose)
    majority = int(np.where(words.may_choose, unigram(train, vocab_size=vocab_size), 0.0).argmax())
    follower = followers(train, vocab_size=vocab_size, otherwise=majority)
    of_majority = of_bigram = count = 0
    for gaps in batches(held_out, batch_size=batch_size):
        length = gaps.input_ids.shape[1]
        left = gaps.input_ids.reshape(-1)[np.maximum(gaps.places - 1, 0)]
        is_seen = (gaps.places % length > 0) & (left != words.mask)
        said = np.where(is_seen, follower[left], majority)
        of_majority += int((gaps.targets == majority).sum())
        of_bigram += int((gaps.targets == said).sum())
        count += len(gaps.targets)
    return {"majority_accuracy": of_majority / max(count, 1), "bigram_accuracy": of_bigram / max(count, 1)}


def followers(train: Stream, *, vocab_size: int, otherwise: int) -> Ints:
    """(V): what most often follows each token."""
    keys, counts = pair_counts(train, vocab_size=vocab_size)
    order = np.argsort(counts, kind="stable")
    found = np.full(vocab_size, otherwise, dtype=np.int64)
    found[keys[order] // vocab_size] = keys[order] % vocab_size  # the last one written, the most frequent, stays
    return found
