"""The seam between the product and a training process: what stands in a run's folder, and in which order it is written.

A run's folder is the whole contract; the process that trains knows no database and no web server:

    spec.json        what to do (`Spec`): written by whoever starts the run, never changed
    events.jsonl     what happens (`EventLog`): one line an event, appended
    checkpoints/     where to go on (`training.mechanics.checkpoints`)
    output/          what came of it; of an estimate, estimate.json alone
    failure.json     an expected failure (`Failure`)
    manifest.json    written last, by rename: its existence means that the run is done
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

SPEC = "spec.json"
EVENTS = "events.jsonl"
FAILURE = "failure.json"
MANIFEST = "manifest.json"
OUTPUT = "output"
CHECKPOINTS = "checkpoints"
LOCK = "lock"

EXIT_DONE = 0
EXIT_FAILED = 3  # failure.json says why
EXIT_BUSY = 75  # another process holds this folder (EX_TEMPFAIL)
EXIT_STOPPED = 143  # asked to stop: a checkpoint was written, the run may be resumed

EventKind = Literal["progress", "metric", "sample", "warning", "log"]


class Failure(Exception):
    """An expected failure: one sentence for the person who started the run, a code, and what to try.

    >>> raise Failure("no_rows", "The dataset has no row to train on.", advice="Rank a few tasks first.")
    """

    def __init__(self, code: str, sentence: str, *, advice: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.advice = advice


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch has found no memory; a CPU's allocator has no exception of its own. (No torch here: by its name.)"""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a run, by name: a folder that was verified against `sha256` when it was stored.

    `kind` is "model", "tokenizer", "dataset" or "upload". `base` is set where a model's folder holds
    only an adapter: the folder of the full model at the bottom. `between` are the folders of the adapters
    that this one was trained on, lowest first: what DPO has learned on what SFT has learned on a base.
    """

    path: str
    kind: str
    sha256: str
    name: str = ""
    base: str | None = None
    between: tuple[str, ...] = ()

    @property
    def below(self) -> tuple[str, ...]:
        """The folders that an adapter stands on, lowest first; none below a full model."""
        return (self.base, *self.between) if self.base else ()

    @property
    def folders(self) -> tuple[str, ...]:
        """All that a model is made of, in the order in which it is put together."""
        return (*self.below, self.path)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a run is told. `recipe` is checked against `training.recipes.RECIPES[method]` by whoever reads it."""

    run: str
    method: str
    recipe: dict[str, Any]
    inputs: dict[str, Input] = field(default_factory=dict)
    seed: int = 0
    attempt: int = 1
    version: int = 1
    is_estimate: bool = False
    """What the run would cost is asked, and nothing is to be made: see `training.mechanics.estimate`."""

    def dump(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def load(cls, text: str) -> Spec:
        raw = json.loads(text)
        inputs = {
            name: Input(**{**value, "between": tuple(value.get("between", ()))})
            for name, value in raw.pop("inputs", {}).items()
        }
        return cls(inputs=inputs, **raw)


def read_spec(run_dir: Path) -> Spec:
    """Raises `Failure("no_spec")` where the folder holds none or a broken one."""
    try:
        return Spec.load((run_dir / SPEC).read_text())
    except (OSError, ValueError, TypeError) as error:
        raise Failure("no_spec", f"{run_dir.name} holds no readable {SPEC}: {error}") from error


class EventLog:
    """Appends events; `seq` goes on where the file ends, so that attempts of one run share one sequence."""

    def __init__(self, path: Path) -> None:
        last = 0
        for event in read_events(path):
            last = event["seq"]
        self._seq = last
        self._file = path.open("a", encoding="utf-8")
        if ends_torn(path):  # a writer was killed within a line: the next event begins a line of its own
            self._file.write("\n")

    def emit(self, kind: EventKind, payload: dict[str, Any]) -> None:
        self._seq += 1
        event = {"seq": self._seq, "at": datetime.now(UTC).isoformat(), "kind": kind, "payload": payload}
        # One write a line: a reader sees a whole line or an unfinished last one, which `read_events` leaves out.
        self._file.write(json.dumps(event, allow_nan=False, default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Unheard:
    """Of several processes one writes the events; the others say theirs to this."""

    def emit(self, kind: EventKind, payload: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


def ends_torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read_events(path: Path, *, after: int = 0) -> Iterator[dict[str, Any]]:
    """The events with `seq > after`, oldest first; a torn last line (a killed writer) is left out."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the torn line of an earlier attempt, which the next one wrote behind
            if event["seq"] > after:
                yield event


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_files(folder: Path) -> dict[str, str]:
    """The sha256 of every file below `folder`, by its relative POSIX path, sorted."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): file_sha256(p) for p in paths}


def tree_sha256(files: dict[str, str]) -> str:
    """The identity of a folder: one hash over its sorted `path -> sha256` table."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Writes a temporary name, syncs file and folder, renames: a reader sees all of it or nothing."""
    stage = path.with_name(f".{path.name}.{os.getpid()}")
    with stage.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    stage.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_failure(run_dir: Path, failure: Failure) -> None:
    payload = {"code": failure.code, "sentence": failure.sentence, "advice": failure.advice}
    write_atomically(run_dir / FAILURE, json.dumps(payload, indent=1))


def write_manifest(run_dir: Path, *, kind: str, metrics: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Publishes `output/`: hashes every file, syncs them, and renames the manifest into place, last of all."""
    output = run_dir / OUTPUT
    files = folder_files(output)
    for name in files:
        with (output / name).open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(output)
    manifest = {"kind": kind, "sha256": tree_sha256(files), "files": files, "metrics": metrics, **facts}
    write_atomically(run_dir / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True, default=str))
    return manifest


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """The manifest of a finished run, its files verified. Raises `Failure` where one is missing or differs."""
    try:
        manifest: dict[str, Any] = json.loads((run_dir / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise Failure("no_manifest", f"Run {run_dir.name} has no readable manifest: {error}") from error
    if folder_files(run_dir / OUTPUT) != manifest["files"]:
        raise Failure("output_differs", f"The output of run {run_dir.name} differs from its manifest.")
    return manifest
