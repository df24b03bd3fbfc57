"""The reference's log-probabilities: of each text once, kept in the run's folder, never taken for another model's or text's.

A policy that is held to a reference needs what the reference says of every completion, in every epoch and after every resume.
It is asked once, before the first step, and the answers stand in `reference.safetensors` of the run's folder under a
fingerprint of all that they follow from: the model's files, the texts, the arithmetic. Under any other fingerprint they are
asked for anew; a cut or altered file is no answer either.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training import contract
from training.context import RunContext, Stopped
from training.contract import Input
from training.mechanics.estimate.probe import Probe
from training.mechanics.shared_prefix import Ids, Text

NAME = "reference.safetensors"
KEEP_EVERY = 60.0  # seconds: what a kill may cost

Key = tuple[Ids, int]  # of a text: its ids, and how many of them are the prompt's


@dataclass(frozen=True, slots=True)
class Reference:
    """Log-probabilities (tokens of the completion,) by text, or, where only sums were asked for, (1,)."""

    of: dict[Key, Tensor]

    def total(self, text: Text) -> float:
        return float(self.of[key_of(text)].sum())

    def tokens(self, text: Text) -> Tensor:
        return self.of[key_of(text)]


def key_of(text: Text) -> Key:
    return text.ids, text.num_prompt


def take(
    batches: Sequence[Sequence[Text]],
    *,
    read: Callable[[list[Text]], list[Tensor]],
    fingerprint: str,
    context: RunContext,
) -> Reference:
    """What `read` says of the texts that each batch is the first to hold, or what an earlier attempt has kept of it.

    `read` gets them in the order of the batch: a batch that holds no text of an earlier one is read just as training will
    read it. Raises `Stopped` on request, with what is known by then kept.
    """
    path = context.dir / NAME
    fresh = first_met(batches)
    if context.probe is not None:
        return probed(fresh, read, context.probe)
    values, done = kept(path, fingerprint=fingerprint)
    saved_at = time.monotonic()
    for number, texts in enumerate(fresh[done:], start=done):
        if context.stop_requested:
            keep(path, values, done=number, fingerprint=fingerprint)
            raise Stopped
        context.progress("reference", number, len(fresh), unit="batches")
        values += read(texts) if texts else []
        if time.monotonic() - saved_at > KEEP_EVERY:
            keep(path, values, done=number + 1, fingerprint=fingerprint)
            saved_at = time.monotonic()
    context.progress("reference", len(fresh), len(fresh), unit="batches")
    if done < len(fresh):
        keep(path, values, done=len(fresh), fingerprint=fingerprint)
    return Reference(dict(zip((key_of(text) for texts in fresh for text in texts), values, strict=True)))


def probed(fresh: Sequence[Sequence[Text]], read: Callable[[list[Text]], list[Tensor]], probe: Probe) -> Reference:
    """The first batches, which are trained on first, as they are; of the others zeros, which cost nothing."""
    loop = probe.loop("reference", total=sum(map(weight, fresh)), unit="batches")
    found: dict[Key, Tensor] = {}
    for texts in fresh:
        if loop.is_enough():
            break
        with loop.one(weight=weight(texts)):
            values = read(list(texts)) if texts else []
        found |= zip(map(key_of, texts), values, strict=True)
    loop.leave(units=len(fresh))
    of_sums = all(len(value) == 1 for value in found.values())
    for text in (text for texts in fresh for text in texts):
        found.setdefault(key_of(text), torch.zeros(1 if of_sums else len(text.ids) - text.num_prompt))
    return Reference(found)


def weight(texts: Sequence[Text]) -> int:
    return sum(len(text.ids) for text in texts)


def first_met(batches: Sequence[Sequence[Text]]) -> list[list[Text]]:
    """Of each batch the texts that stand in none before it."""
    met: set[Key] = set()
    fresh = []
    for texts in batches:
        new = {key_of(text): text for text in texts if key_of(text) not in met}
        met |= new.keys()
        fresh.append(list(new.values()))
    return fresh


# What the answers follow from


def fingerprint(model: Input, batches: Sequence[Sequence[Text]], **settings: Any) -> str:
    """One hash over the files of the model (and of its base), every text in its order, versions and `settings`."""
    folders = [Path(folder) for folder in reversed(model.folders)]
    told = {
        "model": [contract.folder_files(folder) for folder in folders],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        **settings,
    }
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for texts in first_met(batches):
        found.update(repr([key_of(text) for text in texts]).encode())
    return found.hexdigest()


# The file: all values in one row, how many belong to each text, and the fingerprint


def keep(path: Path, values: list[Tensor], *, done: int, fingerprint: str) -> None:
    """Of the first `done` batches; a reader sees all of the file or the one before."""
    tensors = {
        "log_probs": torch.cat([torch.empty(0), *values]),
        "lengths": torch.tensor([len(one) for one in values], dtype=torch.long),
    }
    told = {"fingerprint": fingerprint, "batches": str(done), "sha256": sha256_of(tensors)}
    stage = path.with_name(f".{path.name}.{os.getpid()}")
    with stage.open("wb") as file:
        file.write(save(tensors, metadata=told))
        file.flush()
        os.fsync(file.fileno())
    stage.replace(path)
    contract.sync_folder(path.parent)


def kept(path: Path, *, fingerprint: str) -> tuple[list[Tensor], int]:
    """The values, and of how many batches they are; none where the file is another's, or not what was written."""
    if not path.is_file():
        return [], 0
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except SafetensorError:
        return [], 0
    if told.get("fingerprint") != fingerprint or told.get("sha256") != sha256_of(tensors):
        return [], 0
    return list(tensors["log_probs"].split(tensors["lengths"].tolist())), int(told["batches"])


def sha256_of(tensors: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(tensors[name].numpy().tobytes())
    return found.hexdigest()
