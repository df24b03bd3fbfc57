"""Datasets of preferences mixed by shares of prompts: so many that one says something of, so many of another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext

from accounts.errors import UserError
from accounts.models import User
from registry.models import DatasetKind, DatasetVersion
from registry.services.datasets import SHARD, freeze_dataset, read_rows, rows_below
from registry.services.schemas import AI, RANKINGS, RATER_GROUP, SPLITS

FOLDER = "rankings"


class BadMix(UserError):
    code = "bad_mix"


@dataclass(frozen=True, slots=True)
class Part:
    dataset: DatasetVersion
    share: float  # of the prompts to train on


def mix_preferences(name: str, parts: Sequence[Part], *, user: User | None) -> DatasetVersion:
    """As many training prompts as the shares allow, those of each part by lot; all that is held out, and never trained on.

    Prompts are counted, not comparisons, since every method weighs prompts alike. Raises `BadMix`, and what
    `freeze_dataset` raises.
    """
    if len(parts) < 2 or any(part.share <= 0 for part in parts) or abs(sum(part.share for part in parts) - 1) > 1e-6:
        raise BadMix(gettext("Shares are above 0 and sum to 1, of two datasets or more."))
    for part in parts:
        if part.dataset.kind != DatasetKind.PREFERENCE:
            raise BadMix(gettext("%(name)s holds no preferences.") % {"name": part.dataset.name})
    held_out = set().union(*(groups_of(part.dataset, "test") for part in parts))
    chosen = chosen_groups(parts, held_out=held_out)
    if not all(chosen):
        raise BadMix(gettext("One of the datasets has no prompt to train on that the others do not hold out."))

    def rows(split: str) -> Iterator[dict[str, Any]]:
        taken: set[str] = set()
        for part, mine in zip(parts, chosen, strict=True):
            wanted = (mine if split == "train" else groups_of(part.dataset, split)) - taken
            yield from (row for row in read_rows(part.dataset, split=split) if row["group_id"] in wanted)
            taken |= wanted

    told = "; ".join(
        f"{part.dataset.name} {len(mine):,} prompts ({part.share:.0%})"
        for part, mine in zip(parts, chosen, strict=True)
    )
    return freeze_dataset(
        name, kind=DatasetKind.PREFERENCE, splits={split: rows(split) for split in SPLITS}, user=user,
        query={"mixed": [{"dataset": str(part.dataset.pk), "share": part.share} for part in parts]},
        card=f"Comparisons of several datasets, mixed by prompts to train on: {told}.",
        parents=[part.dataset for part in parts], is_simulated=any(part.dataset.is_simulated for part in parts),
        extra_files=lambda folder: write_rankings(parts, chosen, folder=folder),
    )  # fmt: skip


def groups_of(dataset: DatasetVersion, split: str) -> set[str]:
    return {row["group_id"] for row in read_rows(dataset, split=split)}


def chosen_groups(parts: Sequence[Part], *, held_out: set[str]) -> list[set[str]]:
    """Of each part its training prompts, none of them twice: as many as fit the shares, by lot."""
    there: list[list[str]] = []
    taken = set(held_out)
    for part in parts:
        mine = groups_of(part.dataset, "train") - taken
        there.append(sorted(mine, key=lambda group: hashlib.sha256(f"mix {group}".encode()).hexdigest()))
        taken |= mine
    most = min(len(mine) / part.share for part, mine in zip(parts, there, strict=True))
    return [set(mine[: round(most * part.share)]) for part, mine in zip(parts, there, strict=True)]


def write_rankings(parts: Sequence[Part], chosen: Sequence[set[str]], *, folder: Path) -> None:
    """The whole rankings of what is mixed. A part that has none is read as comparisons, which then stand alone."""
    if not all((part.dataset.artifact.folder / FOLDER).is_dir() for part in parts):
        return
    found: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    taken: dict[str, set[str]] = {split: set() for split in SPLITS}
    for part, mine in zip(parts, chosen, strict=True):
        for split in SPLITS:
            wanted = (mine if split == "train" else groups_of(part.dataset, split)) - taken[split]
            whole = rows_below(part.dataset.artifact.folder / FOLDER, split=split)
            found[split] += [row for row in whole if row["group_id"] in wanted]
            taken[split] |= wanted
    has_groups = any("rater_group" in row for rows in found.values() for row in rows)
    has_ai = any(row.get("ai") for rows in found.values() for row in rows)
    schema = pa.schema([*RANKINGS, *([RATER_GROUP] if has_groups else []), *(AI if has_ai else [])])
    unsaid = {"rater_group": "", "ai": False, "labels": []}
    (folder / FOLDER).mkdir()
    for split, rows in found.items():
        if rows:
            table = pa.Table.from_pylist([{**unsaid, **row} for row in rows], schema=schema)
            pq.write_table(table, folder / FOLDER / f"{split}{SHARD}", compression="zstd")
