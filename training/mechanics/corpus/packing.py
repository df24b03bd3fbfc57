"""A corpus as one stream of tokens, and the rows that a model in training reads from it, in an order without a state.

Legend: B rows of a batch, T tokens a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.contract import Failure

Ints = npt.NDArray[np.int64]
CHUNK = 128  # texts encoded in one call


@dataclass(frozen=True, slots=True)
class Stream:
    """Documents one behind the other, each `<begin> text <end>`; `num_bytes` of their texts, in UTF-8."""

    tokens: npt.NDArray[np.uint32]
    num_bytes: int
    num_documents: int

    @property
    def bytes_per_token(self) -> float:
        return self.num_bytes / max(len(self.tokens), 1)


def encode_documents(
    tokenizer: Any, texts: Sequence[str], *, most: int, tell: Callable[[int, int], None] = lambda done, total: None
) -> Stream:
    """The first of `texts`, until there are `most` tokens; held in memory at 4 bytes a token.

    A text that spells a special token is read as text: it ends no document.

    A row may begin in one document and end in the next, as is usual in pretraining; what tells them apart is the
    tokenizer's beginning token, if it has one, and its end token.
    """
    backend = tokenizer.backend_tokenizer
    before = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    behind = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    spelled, backend.encode_special_tokens = backend.encode_special_tokens, True
    parts: list[npt.NDArray[np.uint32]] = []
    count = read = 0
    while read < len(texts) and count < most:
        for encoding in backend.encode_batch(texts[read : read + CHUNK], add_special_tokens=False):
            if count < most:
                parts.append(np.asarray([*before, *encoding.ids, *behind], dtype=np.uint32))
                count += len(parts[-1])
        read = min(read + CHUNK, len(texts))
        tell(read, len(texts))
    backend.encode_special_tokens = spelled
    tokens = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32)
    return Stream(tokens, sum(len(text.encode()) for text in texts[: len(parts)]), len(parts))


class Rows:
    """The training rows of T tokens, in the order of `seed`: row n is a function of n alone.

    So the position of a run is the number of rows it has read, and a resumed run reads on where it stopped without a
    loader's state. Each pass over the stream is shuffled anew and cut at another offset, so that no token is always
    the first of its row.
    """

    def __init__(self, stream: Stream, *, length: int, seed: int) -> None:
        """Raises `Failure("too_few_tokens")` for a stream of less than two rows."""
        self.tokens, self.length, self.seed = stream.tokens, length, seed
        # One row less than fits: the offset of a pass may take up to a row away.
        self.rows_per_pass = len(stream.tokens) // length - 1
        if self.rows_per_pass < 1:
            raise Failure(
                "too_few_tokens",
                f"The corpus has {len(stream.tokens):,} tokens; rows of {length:,} need at least {2 * length:,}.",
                advice="Choose a larger corpus or a shorter context.",
            )
        self._plan = lru_cache(maxsize=2)(self._plan_of)

    def _plan_of(self, number: int) -> tuple[int, Ints]:
        lot = np.random.default_rng([self.seed, number])
        return int(lot.integers(self.length)), lot.permutation(self.rows_per_pass)

    def row(self, number: int) -> Ints:
        offset, order = self._plan(number // self.rows_per_pass)
        start = offset + int(order[number % self.rows_per_pass]) * self.length
        return self.tokens[start : start + self.length].astype(np.int64)

    def batch_BT(self, first: int, count: int) -> Ints:
        """The rows `first` to `first + count - 1`."""
        return np.stack([self.row(number) for number in range(first, first + count)])


def windows(stream: Stream, *, length: int) -> Iterable[tuple[Ints, Ints]]:
    """Inputs and targets that cover a stream: each token but the very first is a target exactly once.

    The last window is shorter than T.
    """
    tokens = stream.tokens.astype(np.int64)
    for start in range(0, len(tokens) - 1, length):
        end = min(start + length, len(tokens) - 1)
        yield tokens[start:end], tokens[start + 1 : end + 1]
