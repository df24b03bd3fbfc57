"""Soft labels: the probability that the chosen text of a comparison is the better one, where a judge said how sure it is.

A row of a preference dataset may have a `label` from 0.5 to 1; one without it (or with none) has 1. Of every loss such a row is
p times itself and 1 - p times its opposite, in which chosen and rejected have changed places: what two rows with the weights
p and 1 - p come to. It is learned from in training alone; what is held out is judged by who was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from training.contract import Failure, Input


def label_of(row: dict[str, Any]) -> float:
    label = row.get("label")
    return 1.0 if label is None else float(label)


def are_soft(rows: Iterable[dict[str, Any]]) -> bool:
    return any(label_of(row) < 1 for row in rows)


def may_be_soft(preferences: Input) -> bool:
    """Whether training rows have the column at all, which is told without reading them."""
    files = Path(preferences.path, "data").glob("train-*.parquet")
    return any("label" in pq.read_schema(path).names for path in files)


def refuse_soft(rows: Iterable[dict[str, Any]], *, what: str, advice: str) -> None:
    """Raises `Failure("soft_labels")` where a row has one; `what` learns from none."""
    if are_soft(rows):
        raise Failure(
            "soft_labels",
            f"Some comparisons say how sure they are (`label` below 1), and {what} can't learn that.",
            advice=advice,
        )
