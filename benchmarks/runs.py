"""Runs of the real program, each in a process of its own; shared by benchmarks of what a chain of runs comes to."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
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


def dataset(folder: Path, train: list[Row], test: list[Row]) -> Input:
    (folder / "data").mkdir(parents=True)
    schema = LABELLED if "label" in train[0] else None
    for split, rows in (("train", train), ("test", test)):
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"data/{split}-00000-of-00001.parquet")
    return given(folder, "dataset")


def given(folder: Path, kind: str) -> Input:
    return Input(str(folder), kind, contract.tree_sha256(contract.folder_files(folder)), name=folder.name)


def output(run_dir: Path, kind: str) -> Input:
    return given(run_dir / contract.OUTPUT, kind)


def run(home: Path, method: str, changes: Row, inputs: dict[str, Input], *, preset: str, name: str = "") -> Path:
    """A finished run of the real program; what it is at is told every `TOLD` seconds."""
    folder = home / (name or method)
    folder.mkdir()
    recipe = {**RECIPES[method].presets[preset], **changes}
    (folder / contract.SPEC).write_text(
        Spec(run=folder.name, method=method, recipe=recipe, inputs=inputs, seed=0).dump()
    )
    process = subprocess.Popen([sys.executable, "-m", "training", "run", str(folder)], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=TOLD)
            tell(folder)
    finally:
        process.terminate()
        process.wait()
    if process.returncode:
        failure = folder / contract.FAILURE
        sys.exit(f"{folder.name} ended with {process.returncode}: {failure.read_text() if failure.exists() else ''}")
    return folder


def events(folder: Path, kind: str) -> list[Row]:
    if not (folder / contract.EVENTS).exists():
        return []
    return [event for event in contract.read_events(folder / contract.EVENTS) if event["kind"] == kind]


def tell(folder: Path) -> None:
    if told := events(folder, "progress"):
        last = told[-1]["payload"]
        say(f"{folder.name}: {last['phase']} {last['step']}/{last['total']} {last['unit']}")


def metrics(folder: Path) -> Row:
    return dict(contract.read_manifest(folder)["metrics"])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
