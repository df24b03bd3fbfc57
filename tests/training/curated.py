"""Rows to curate, written anew from a seed, and runs of `curate` on them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.training import tiny
from training import contract

VOCABULARY = [
    a + b + c
    for a in ("ba", "le", "mi", "no", "tu", "ra")
    for b in ("ren", "so", "ti", "van", "lo")
    for c in ("d", "st", "m", "na", "r")
]
PLAIN: dict[str, Any] = {  # every step off
    "normalise": False, "personal_data": None, "quality": None, "repetition": None, "language": None,
    "exact_duplicates": False, "near_duplicates": None, "decontamination": None,
}  # fmt: skip


def sentence(lot: random.Random, words: int = 60) -> str:
    return " ".join(lot.choice(VOCABULARY) for _ in range(words))


def edited(text: str, rate: float, lot: random.Random) -> str:
    """Each word, with this probability, taken out, replaced, or followed by another."""
    made: list[str] = []
    for word in text.split():
        kind = lot.randrange(3) if lot.random() < rate else 3
        made += {0: [], 1: [lot.choice(VOCABULARY)], 2: [word, lot.choice(VOCABULARY)], 3: [word]}[kind]
    return " ".join(made)


def text_row(name: object, text: str) -> dict[str, str]:
    return {"id": str(name), "text": text, "source": "test"}


def texts(*given: str, first: int = 0) -> list[dict[str, str]]:
    return [text_row(place, text) for place, text in enumerate(given, start=first)]


def curate(
    folder: Path, train: list[dict[str, Any]], test: list[dict[str, Any]] | None = None, *, kind: str = "corpus",
    against: list[dict[str, Any]] | None = None, **recipe: Any,
) -> Path:  # fmt: skip
    """A finished run."""
    run_dir = prepared(folder, train, test, kind=kind, against=against, **recipe)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def prepared(
    folder: Path, train: list[dict[str, Any]], test: list[dict[str, Any]] | None = None, *, kind: str = "corpus",
    against: list[dict[str, Any]] | None = None, **recipe: Any,
) -> Path:  # fmt: skip
    inputs = {kind: tiny.write_dataset(folder / "given", train, test)}
    if against is not None:
        inputs["against"] = tiny.write_dataset(folder / "against", against)
    return tiny.make_run(folder / "run", "curate", {"kind_of_dataset": kind, **recipe}, inputs)


def rows(run_dir: Path, split: str) -> list[dict[str, Any]]:
    path = run_dir / f"output/data/{split}-00000-of-00001.parquet"
    return pq.read_table(path).to_pylist() if path.exists() else []


def ids(run_dir: Path, split: str = "train") -> list[str]:
    return [row["id"] for row in rows(run_dir, split)]


def step(run_dir: Path, name: str) -> dict[str, Any]:
    report = json.loads((run_dir / "output/curation.json").read_text())
    (found,) = [told for told in report["steps"] if told["name"] == name]
    return found
