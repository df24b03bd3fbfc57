"""A corpus as one stream of tokens, and the rows that a model in training reads from it, in an order without a state.

Legend: B rows of a batch, T tokens a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.contract import Failure
from training.mechanics.corpus.shuffle import permuted

Ints = npt.NDArray[np.int64]
Tokens = npt.NDArray[Any]  # unsigned, of 16 or 32 bits
CHUNK = 128  # texts encoded in one call


@dataclass(frozen=True, slots=True)
class Stream:
    """Documents one behind the other, each `<begin> text <end>`; `num_bytes` of their texts, in UTF-8.

    `parts` may lie in files (`training.mechanics.corpus.shards`) and are equally long but for the last.
    """

    parts: tuple[Tokens, ...]
    num_bytes: int
    num_documents: int

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def read(self, start: int, stop: int) -> Ints:
        """A copy of the tokens from `start` to before `stop`, or to the end."""
        stop, size = min(stop, len(self)), len(self.parts[0]) if self.parts else 1
        pieces = [
            self.parts[i][max(start - i * size, 0) : stop - i * size] for i in range(start // size, -(-stop // size))
        ]
        return np.concatenate(pieces).astype(np.int64) if pieces else np.zeros(0, dtype=np.int64)

    @property
    def bytes_per_token(self) -> float:
        return self.num_bytes / max(len(self), 1)


def encode_each(tokenizer: Any, texts: Sequence[str]) -> Iterator[tuple[Tokens, int]]:
    """Tokens and bytes of each text as a document; the library encodes a call's texts on as many threads as it may use.

    A text that spells a special token is read as text: it ends no document. What tells documents apart is the tokenizer's
    beginning token, if it has one, and its end token.
    """
    backend = tokenizer.backend_tokenizer
    before = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    behind = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    spelled, backend.encode_special_tokens = backend.encode_special_tokens, True
    encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
    backend.encode_special_tokens = spelled
    for text, encoding in zip(texts, encodings, strict=True):
        yield np.asarray([*before, *encoding.ids, *behind], dtype=np.uint32), len(text.encode())


def encode_documents(
    tokenizer: Any, texts: Sequence[str], *, most: int, tell: Callable[[int, int], None] = lambda done, total: None
) -> Stream:
    """The first of `texts`, until there are `most` tokens; held in memory at 4 bytes a token.

    A row may begin in one document and end in the next, as is usual in pretraining.
    """
    parts: list[Tokens] = []
    count = read = num_bytes = 0
    while read < len(texts) and count < most:
        for tokens, size in encode_each(tokenizer, texts[read : read + CHUNK]):
            if count < most:
                parts.append(tokens)
                count += len(tokens)
                num_bytes += size
        read = min(read + CHUNK, len(texts))
        tell(read, len(texts))
    tokens = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32)
    return Stream((tokens,), num_bytes, len(parts))


class Rows:
    """The training rows of T tokens, in the order of `seed`: row n is a function of n alone.

    So the position of a run is the number of rows it has read, and a resumed run reads on where it stopped without a
    loader's state. Each pass over the stream is shuffled anew and cut at another offset, so that no token is always
    the first of its row. Of several processes each reads every `world`-th row of a batch, from its `rank` on: together all,
    none twice, and the same ones however many they are.
    """

    def __init__(self, stream: Stream, *, length: int, seed: int, rank: int = 0, world: int = 1) -> None:
        """Raises `Failure("too_few_tokens")` for a stream of less than two rows."""
        self.stream, self.length, self.seed, self.rank, self.world = stream, length, seed, rank, world
        # One row less than fits: the offset of a pass may take up to a row away.
        self.rows_per_pass = len(stream) // length - 1
        if self.rows_per_pass < 1:
            raise Failure(
                "too_few_tokens",
                f"The corpus has {len(stream):,} tokens; rows of {length:,} need at least {2 * length:,}.",
                advice="Choose a larger corpus or a shorter context.",
            )
        self._plan = lru_cache(maxsize=2)(self._plan_of)

    def _plan_of(self, number: int) -> tuple[int, Callable[[int], int]]:
        lot = np.random.default_rng([self.seed, number])
        return int(lot.integers(self.length)), permuted(self.rows_per_pass, lot)

    def row(self, number: int) -> Ints:
        offset, place = self._plan(number // self.rows_per_pass)
        start = offset + place(number % self.rows_per_pass) * self.length
        return self.stream.read(start, start + self.length)

    def share(self, first: int, count: int) -> range:
        """Of the rows `first` to `first + count - 1`, those that this process reads."""
        return range(first + self.rank, first + count, self.world)

    def batch_BT(self, first: int, count: int) -> Ints:
        return np.stack([self.row(number) for number in self.share(first, count)])


def windows(stream: Stream, *, length: int, count: int) -> Iterator[tuple[Ints, Ints]]:
    """Inputs and targets (BT) that cover a stream: each token but the very first is a target exactly once.

    `count` windows at a time; the last one of the stream comes alone, where it is shorter than T.
    """
    last = len(stream) - 1
    full = max(last, 0) // length
    for first in range(0, full, count):
        rows = min(count, full - first)
        tokens = stream.read(first * length, (first + rows) * length + 1)
        yield tokens[:-1].reshape(rows, length), tokens[1:].reshape(rows, length)
    if full * length < last:
        tokens = stream.read(full * length, last + 1)
        yield tokens[None, :-1], tokens[None, 1:]


class InOrder:
    """The rows of a stream as they stand, of T tokens or of all there are; a last, shorter one is left out."""

    def __init__(self, stream: Stream, *, length: int, seed: int) -> None:
        self.stream, self.length, self.seed = stream, min(length, len(stream)), seed
        self.rows_per_pass = len(stream) // self.length if self.length else 0

    def share(self, first: int, count: int) -> range:
        return range(first, first + count)

    def row(self, number: int) -> Ints:
        return self.stream.read(number * self.length, (number + 1) * self.length)
