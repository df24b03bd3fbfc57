"""Runs of the real program in processes of their own, on datasets made for them; what each gave, and what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training import contract
from training.contract import Input, Spec
from training.recipes import RECIPES

TOLD = 20  # seconds between two lines of progress
SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
LABELLED = pa.schema(
    [(name, pa.list_(SPAN) if name == "spans" else pa.string())
     for name in ("id", "text", "question", "label", "spans", "group")]
)  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is done: wall-clock and processor seconds of its process, and the most memory that it held (bytes)."""

    folder: Path
    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def metrics(self) -> Row:
        found: Row = contract.read_manifest(self.folder)["metrics"]
        return found


def dataset(folder: Path, train: list[Row], test: list[Row]) -> Input:
    (folder / "data").mkdir(parents=True)
    for split, rows in (("train", train), ("test", test)):
        if rows:
            schema = LABELLED if "label" in rows[0] else None
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"data/{split}-00000-of-00001.parquet")
    return given(folder, "dataset")


def given(folder: Path, kind: str, *, name: str = "", base: str | None = None) -> Input:
    sha256 = contract.tree_sha256(contract.folder_files(folder))
    return Input(str(folder), kind, sha256, name=name or folder.name, base=base)


def output(run_dir: Path, kind: str, *, name: str = "", base: str | None = None) -> Input:
    return given(run_dir / contract.OUTPUT, kind, name=name, base=base)


def run(
    folder: Path, method: str, changes: Row, inputs: dict[str, Input], *, preset: str, is_estimate: bool = False
) -> Finished:
    """What it is at is told every `TOLD` seconds; one that fails ends the benchmark with its sentence."""
    folder.mkdir()
    recipe = {**RECIPES[method].presets[preset], **changes}
    (folder / contract.SPEC).write_text(
        Spec(run=folder.name, method=method, recipe=recipe, inputs=inputs, is_estimate=is_estimate).dump()
    )
    began = told = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "training", "run", str(folder)], stderr=subprocess.DEVNULL)
    try:
        # Not `process.wait`: the figures of a child are told once, to whoever waits for it.
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            time.sleep(0.2)
            if time.monotonic() - told > TOLD:
                told = time.monotonic()
                tell(folder)
    except BaseException:
        process.kill()
        raise
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        failure = folder / contract.FAILURE
        sys.exit(f"{folder.name} ended with {process.returncode}: {failure.read_text() if failure.exists() else ''}")
    # Linux counts the memory in kibibytes.
    return Finished(folder, time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def events(folder: Path, kind: str) -> list[Row]:
    if not (folder / contract.EVENTS).exists():
        return []
    return [event for event in contract.read_events(folder / contract.EVENTS) if event["kind"] == kind]


def tell(folder: Path) -> None:
    if told := events(folder, "progress"):
        last = told[-1]["payload"]
        say(f"{folder.name}: {last['phase']} {last['step']}/{last['total']} {last['unit']}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
