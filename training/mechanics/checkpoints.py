"""Checkpoints that are whole or absent: staged, hashed, synced to the disk, renamed; the newest whole one is resumed.

    checkpoints/checkpoint-120/      files, and MANIFEST.json: the sha256 of each of them, written last
    checkpoints/.stage-...           an unfinished one; the next `publish` clears it away

A kill at any moment leaves the checkpoint before. A file that was lost or altered later makes `newest` pass over its
checkpoint, for transformers would resume without it in silence and train something else.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training import contract
from training.contract import Failure

MANIFEST = "MANIFEST.json"
PREFIX = "checkpoint-"
STAGE = ".stage-"


def publish(folder: Path, step: int, write: Callable[[Path], None], *, keep: int = 2) -> Path:
    """Has `write` fill a fresh folder, makes that the checkpoint of `step`, and leaves the newest `keep` standing.

    A whole checkpoint of the same step is left as it is: what a run holds after a step is a function of the step.
    """
    final = folder / f"{PREFIX}{step}"
    if is_whole(final):
        return final
    for left in folder.glob(f"{STAGE}*"):
        shutil.rmtree(left)
    stage = folder / f"{STAGE}{step}-{os.getpid()}"
    stage.mkdir()
    write(stage)
    files = contract.folder_files(stage)
    for name in files:
        sync_file(stage / name)
    for below in sorted({(stage / name).parent for name in files}):
        contract.sync_folder(below)
    contract.write_atomically(stage / MANIFEST, json.dumps(files, indent=1, sort_keys=True))
    if final.exists():
        shutil.rmtree(final)  # a torn one, passed over by `newest`
    stage.rename(final)
    contract.sync_folder(folder)
    prune(folder, step=step, keep=keep)
    return final


def prune(folder: Path, *, step: int, keep: int) -> None:
    """Removes what is older than the newest `keep`, and what claims a later step: `newest` has found that torn."""
    standing = found(folder)
    for path in standing:
        if step_of(path) > step:
            shutil.rmtree(path)
    for path in [path for path in standing if step_of(path) <= step][keep:]:
        shutil.rmtree(path)


def newest(folder: Path) -> Path | None:
    """The checkpoint of the highest step whose every file is as it was written."""
    return next((path for path in found(folder) if is_whole(path)), None)


def found(folder: Path) -> list[Path]:
    """All checkpoints, torn ones too, newest first."""
    paths = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(paths, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def is_whole(checkpoint: Path) -> bool:
    try:
        expected = json.loads((checkpoint / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    files = contract.folder_files(checkpoint)
    del files[MANIFEST]
    return bool(files == expected)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


# State of tensors and plain values, for a method's own `write`


def write_state(path: Path, state: dict[str, Any]) -> None:
    """A torch archive of tensors, numbers, strings, lists and dicts. It belongs into a checkpoint and nowhere else."""
    torch.save(state, path)


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` left; anything but tensors and plain values is refused, so that no code can run."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise Failure(
            "checkpoint_incomplete",
            f"{path.parent.name} lacks {path.name}; resuming from it would train something else.",
            advice="Delete that checkpoint's folder: the run then resumes from the one before, or from the start.",
        ) from error
    return state
