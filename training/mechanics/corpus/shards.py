"""A corpus as files of tokens that are read in place: memory stays the same, however large it is.

FOLDER/00000.bin ...     tokens, little-endian, 16 bits each where the vocabulary allows, else 32; all full but the last
FOLDER/progress.json     while they are written: how far that is, so that who was killed goes on behind the last full one
FOLDER/manifest.json     sha256 and tokens of each, documents, bytes, what they were made of: written last, by rename
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from training import contract
from training.contract import Input
from training.mechanics.corpus.packing import Stream, Tokens, encode_each
from training.mechanics.corpus.texts import blocks, num_texts

MANIFEST, PROGRESS = "manifest.json", "progress.json"
SHARD_TOKENS = 2**25
CALL_BYTES, CALL_TEXTS = 2**21, 4096  # encoded at once: what the library holds of them is a hundred times their tokens

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Key:
    """What shards are a function of: other ones are not read on."""

    corpus: str
    tokenizer: str
    split: str
    most: int
    seed: int | None
    shard_tokens: int
    bits: int


@dataclass(slots=True)
class Written:
    """How far writing is: full shards, the documents and bytes that lie in them whole, and the tokens of the next document
    that lie there too."""

    key: dict[str, Any]
    shards: list[dict[str, Any]] = field(default_factory=list)
    documents: int = 0
    bytes: int = 0
    carry: int = 0

    @property
    def tokens(self) -> int:
        return sum(shard["tokens"] for shard in self.shards)


def open_shards(
    folder: Path, *, tokenizer: Any, given: Input, split: str, most: int, seed: int | None = None,
    shard_tokens: int = SHARD_TOKENS, tell: Tell = lambda done, total: None,
) -> Stream:  # fmt: skip
    """The documents of a split until there are `most` tokens, by memory-map; written first, where they don't stand there whole.

    In an order by lot with a `seed`, else as they stand. Raises what `tell` raises: whoever calls again goes on from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bits = 16 if len(tokenizer) <= 2**16 else 32
    key = asdict(Key(given.sha256, fingerprint(tokenizer), split, most, seed, shard_tokens, bits))
    manifest = read_whole(folder, MANIFEST, key)
    if manifest is None:
        (folder / MANIFEST).unlink(missing_ok=True)
        manifest = Writer(folder, read_whole(folder, PROGRESS, key) or Written(key)).write(tokenizer, given, tell=tell)
    parts = tuple(np.memmap(folder / shard["name"], dtype=f"<u{bits // 8}", mode="r") for shard in manifest.shards)
    return Stream(parts, manifest.bytes, manifest.documents)


def read_whole(folder: Path, name: str, key: dict[str, Any]) -> Written | None:
    """What is written there, if it was made of the same and every file is as it was written."""
    try:
        found = Written(**json.loads((folder / name).read_text()))
        good = found.key == key and all(
            contract.file_sha256(folder / shard["name"]) == shard["sha256"] for shard in found.shards
        )
    except (OSError, ValueError, TypeError):
        return None
    return found if good else None


def fingerprint(tokenizer: Any) -> str:
    said = f"{tokenizer.bos_token_id} {tokenizer.eos_token_id} {tokenizer.backend_tokenizer.to_str()}"
    return hashlib.sha256(said.encode()).hexdigest()


class Writer:
    """Fills shards in a folder, going on from what is `written` there."""

    def __init__(self, folder: Path, written: Written) -> None:
        self.folder, self.written = folder, written
        self.size, self.dtype = written.key["shard_tokens"], f"<u{written.key['bits'] // 8}"
        for path in folder.iterdir():  # what a killed attempt has left
            if path.name not in {PROGRESS, *(shard["name"] for shard in written.shards)}:
                path.unlink()
        self.open: BinaryIO | None = None
        self.sha, self.filled = hashlib.sha256(), 0

    def write(self, tokenizer: Any, given: Input, *, tell: Tell) -> Written:
        documents, size, carry = self.written.documents, self.written.bytes, self.written.carry
        most, split = self.written.key["most"], self.written.key["split"]
        count = self.written.tokens - carry  # of whole documents
        total, read = num_texts(given, split=split), documents
        with threads_of_tokenizers():
            for texts in calls(given, split=split, seed=self.written.key["seed"], skip=documents):
                for tokens, num_bytes in encode_each(tokenizer, texts):
                    if count >= most:
                        break
                    self.add(tokens, carry, documents=documents, num_bytes=size)
                    count, carry = count + len(tokens), 0
                    documents, size = documents + 1, size + num_bytes
                read += len(texts)
                tell(read, total)
                if count >= most:
                    break
        self.close(documents=documents, num_bytes=size, carry=0)
        contract.write_atomically(self.folder / MANIFEST, json.dumps(asdict(self.written), indent=1))
        (self.folder / PROGRESS).unlink(missing_ok=True)
        return self.written

    def add(self, tokens: Tokens, carry: int, *, documents: int, num_bytes: int) -> None:
        """A document from its token `carry` on, before which `documents` of `num_bytes` stand."""
        while carry < len(tokens):
            if self.open is None:
                self.open = (self.folder / f"{self.name}.part").open("wb")
            piece = tokens[carry : carry + self.size - self.filled].astype(self.dtype).tobytes()
            self.open.write(piece)
            self.sha.update(piece)
            taken = len(piece) // np.dtype(self.dtype).itemsize
            carry, self.filled = carry + taken, self.filled + taken
            if self.filled == self.size:
                self.close(documents=documents, num_bytes=num_bytes, carry=carry)
                contract.write_atomically(self.folder / PROGRESS, json.dumps(asdict(self.written)))

    @property
    def name(self) -> str:
        return f"{len(self.written.shards):05d}.bin"

    def close(self, *, documents: int, num_bytes: int, carry: int) -> None:
        """Ends the open shard, if there is one: on the disk before it has its name."""
        self.written.documents, self.written.bytes, self.written.carry = documents, num_bytes, carry
        if self.open is None:
            return
        self.open.flush()
        os.fsync(self.open.fileno())
        self.open.close()
        (self.folder / f"{self.name}.part").rename(self.folder / self.name)
        self.written.shards.append(
            {"name": self.name, "sha256": self.sha.hexdigest(), "tokens": self.filled, "documents": documents}
        )
        self.open, self.sha, self.filled = None, hashlib.sha256(), 0


def calls(given: Input, *, split: str, seed: int | None, skip: int) -> Iterator[list[str]]:
    """The texts behind the first `skip`, as many at a time as are encoded at once."""
    together: list[str] = []
    size = 0
    for block in blocks(given, split=split, seed=seed):
        left = block[skip:]
        skip = max(0, skip - len(block))
        for text in left:
            together.append(text)
            size += len(text)
            if size >= CALL_BYTES or len(together) == CALL_TEXTS:
                yield together
                together, size = [], 0
    if together:
        yield together


@contextmanager
def threads_of_tokenizers() -> Iterator[None]:
    """Runs keep the tokenizers library to one thread, since most of them fork; here it may use all cores."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
