"""Datasets: rows frozen as Parquet under a hash of their own, and read again."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from accounts.errors import UserError
from accounts.models import User
from audit.services import record
from registry.models import Artifact, ArtifactKind, DatasetVersion, ModelVersion
from registry.services import cards, importing
from registry.services.artifacts import discard, new_stage, store_folder
from registry.services.digests import Digests
from registry.services.names import NameTaken, check_length, check_slug
from registry.services.schemas import OPTIONAL, SCHEMAS, SPLITS, RowsHash, complaint_about, plain, prompt_sha256

BATCH, MOST_CHARACTERS = 1000, 8 * 2**20  # rows written at once, fewer where they are long: a row may be a book
READ_AT_ONCE = 200  # rows
SHARD = "-00000-of-00001.parquet"

Rows = Iterable[dict[str, Any]]


class BadRows(UserError):
    code = "bad_rows"


class TwoSplits(UserError):
    code = "prompt_in_two_splits"


class NoRows(UserError):
    code = "no_rows"


def freeze_dataset(
    name: str,
    *,
    kind: str,
    splits: Mapping[str, Rows],
    user: User | None,
    query: dict[str, Any] | None = None,
    card: str = "",
    licence: str = "",
    parents: Iterable[DatasetVersion] = (),
    models_used: Iterable[ModelVersion] = (),
    run: uuid.UUID | None = None,
    is_simulated: bool = False,
    extra_files: Callable[[Path], None] | None = None,
) -> DatasetVersion:
    """Writes `splits` ("train", "test"; any iterables of rows, read once) as a new, immutable version.

    `extra_files(folder)` may add files beside the rows before the folder is stored. Raises `NameTaken`, `BadName`,
    `BadRows` (with the number of the row), `TwoSplits`, `NoRows`, `DiskFull`; then nothing was stored.
    """
    check_slug(name)
    refuse_taken(name)
    parents, models_used = list(parents), list(models_used)
    simulated = [is_simulated, *(d.is_simulated for d in parents), *(m.is_simulated for m in models_used)]
    with new_stage() as stage:
        tally = Tally(kind, folder=stage)
        folder = stage / "dataset"
        (folder / "data").mkdir(parents=True)
        for split, rows in splits.items():
            write_split(folder, split=split, rows=rows, tally=tally)
        tally.close(folder)
        add_optional(folder, tally=tally)
        if extra_files:
            extra_files(folder)
        facts = cards.Facts(
            name=name, kind=kind, rows_sha256=tally.rows_sha256, splits=tally.splits, licence=licence, text=card,
            is_simulated=any(simulated) or tally.num_simulated > 0,
        )  # fmt: skip
        (folder / cards.FILE).write_text(cards.card(facts, files=cards.data_files(folder)), encoding="utf-8")
        artifact = store_folder(folder, kind=ArtifactKind.DATASET, move=True)
    try:
        return register_dataset(
            name, kind=kind, artifact=artifact, tally=tally, parents=parents, models_used=models_used, run=run, user=user,
            query=query, card=card, licence=licence, is_simulated=facts.is_simulated,
        )  # fmt: skip
    except BaseException:
        discard(artifact)
        raise


def import_dataset(name: str, path: Path, *, kind: str, user: User | None, licence: str = "") -> DatasetVersion:
    """Freezes the rows of a .jsonl, .json, .parquet, .csv or .txt file, all of them or none; a tenth is held out, by prompts.

    Raises what `freeze_dataset` raises, and `importing.BadLines` with the numbers of bad lines.
    """
    check_slug(name)
    refuse_taken(name)
    seen = importing.survey(path, kind=kind)
    splits = {split: importing.rows_of(path, kind=kind, split=split, seen=seen) for split in SPLITS}
    query: dict[str, Any] = {"file": path.name}
    if seen.left_out:
        query["columns_left_out"] = sorted(seen.left_out)
    return freeze_dataset(name, kind=kind, splits=splits, user=user, query=query, licence=licence)


def register_dataset(
    name: str,
    *,
    kind: str,
    artifact: Artifact,
    user: User | None,
    tally: Tally | None = None,
    parents: Iterable[DatasetVersion] = (),
    models_used: Iterable[ModelVersion] = (),
    run: uuid.UUID | None = None,
    query: dict[str, Any] | None = None,
    card: str = "",
    licence: str = "",
    is_simulated: bool = False,
) -> DatasetVersion:
    """Names a stored folder of rows, which is read through where no `tally` of it is given. Raises as `freeze_dataset`."""
    check_length(name)
    if artifact.kind != ArtifactKind.DATASET:
        raise BadRows(
            gettext("%(name)s cannot be made from a %(kind)s: it takes a dataset.")
            % {"name": name, "kind": artifact.kind}
        )
    tally = tally or tally_of(artifact.folder, kind=kind)
    dataset = DatasetVersion(
        name=name, kind=kind, artifact=artifact, rows_sha256=tally.rows_sha256, num_rows=sum(tally.splits.values()),
        splits=tally.splits, query=query or {}, run=run, licence=licence, card=card, created_by=user,
        is_simulated=is_simulated or tally.num_simulated > 0,
    )  # fmt: skip
    with transaction.atomic():
        try:
            with transaction.atomic():
                dataset.save(force_insert=True)
        except IntegrityError:
            refuse_taken(name)
            raise
        dataset.parents.set(parents)
        dataset.models_used.set(models_used)
        record("dataset.frozen", actor=user, target=dataset, name=name, kind=kind, rows_sha256=dataset.rows_sha256)
    return dataset


def read_rows(dataset: DatasetVersion, *, split: str, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a split in the order in which they were frozen; none where there is no such split."""
    return itertools.islice(rows_below(dataset.artifact.folder / "data", split=split), limit)


def rows_below(folder: Path, *, split: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(f"{split}-*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            for batch in file.iter_batches(batch_size=READ_AT_ONCE):
                yield from batch.to_pylist()


def refuse_taken(name: str) -> None:
    if DatasetVersion.objects.filter(name=name).exists():
        raise NameTaken(gettext("A dataset is called %(name)s already. Choose another name.") % {"name": name})


@dataclass(slots=True)
class Tally:
    """What is learned of rows as they go by: how many, their hash, which split each prompt stands in."""

    kind: str
    folder: Path
    """Where a file without a name may stand, for what memory is too small for."""
    splits: dict[str, int] = field(default_factory=dict)
    num_simulated: int = 0
    rows_sha256: str = ""
    optional: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    """Of each split's rows, what stands in columns that a dataset need not have: 8 bytes a row."""
    rows: RowsHash = field(init=False)
    prompts: Digests = field(init=False)

    def __post_init__(self) -> None:
        self.rows = RowsHash(self.kind, folder=self.folder)
        self.prompts = Digests(17, folder=self.folder)

    def add(self, split: str, row: dict[str, Any]) -> None:
        prompt = bytes.fromhex(prompt_sha256(row, kind=self.kind))[:16]
        self.prompts.add(prompt + bytes([SPLITS.index(split)]))
        self.splits[split] = self.splits.get(split, 0) + 1
        self.num_simulated += row.get("simulated") is True
        self.rows.add(split, plain(row, kind=self.kind))

    def close(self, folder: Path) -> None:
        """All rows of `folder` were added. Raises `NoRows`, and `TwoSplits` for a prompt that another split has."""
        if not self.splits:
            raise NoRows(gettext("There is no row to keep."))
        if len(self.splits) > 1 and (shared := self.in_two_splits()):
            self.refuse_shared(folder, shared)
        self.rows_sha256 = self.rows.hexdigest()

    def in_two_splits(self) -> set[bytes]:
        shared: set[bytes] = set()
        for block in self.prompts.blocks():
            for one, other in itertools.pairwise(block):
                if one[:16] == other[:16] and one[16] != other[16] and len(shared) < 1000:
                    shared.add(one[:16])
        return shared

    def refuse_shared(self, folder: Path, shared: set[bytes]) -> None:
        """Finds the first row again, to name it."""
        first, second = SPLITS
        for row in rows_below(folder / "data", split=second):
            if bytes.fromhex(prompt_sha256(row, kind=self.kind))[:16] in shared:
                raise TwoSplits(
                    gettext(
                        "The prompt of row %(id)s stands in both %(other)s and %(split)s: what is trained on "
                        "would be held out."
                    )
                    % {"id": row["id"], "other": first, "split": second},
                    id=row["id"],
                )


def write_split(folder: Path, *, split: str, rows: Rows, tally: Tally) -> None:
    """Writes one Parquet file, and none for no rows. What is tallied are the rows as they will be read again."""
    if split not in SPLITS:
        raise BadRows(
            gettext("There is no split called %(split)s: there are %(known)s.")
            % {"split": split, "known": " and ".join(SPLITS)}
        )
    schema, optional = SCHEMAS[tally.kind], OPTIONAL.get(tally.kind, pa.schema([]))
    writer: pq.ParquetWriter | None = None
    try:
        for batch in _batches(rows, kind=tally.kind, split=split):
            writer = writer or pq.ParquetWriter(folder / "data" / f"{split}{SHARD}", schema, compression="zstd")
            written = pa.RecordBatch.from_pylist(batch, schema=pa.schema([*schema, *optional]))
            for row in written.to_pylist():
                tally.add(split, row)
            writer.write_batch(written.select(schema.names))
            if len(optional):
                tally.optional.setdefault(split, []).append(written.select(optional.names))
    finally:
        if writer:
            writer.close()


def add_optional(folder: Path, *, tally: Tally) -> None:
    """Where a row says something in an optional column, all splits have it: readers ask for the same columns in each.

    It is known only when all rows went by, and a dataset without one is written once, as ever.
    """
    tables = {split: pa.Table.from_batches(batches) for split, batches in tally.optional.items()}
    told = [
        field for field in OPTIONAL.get(tally.kind, ()) if any(len(t[field.name].drop_null()) for t in tables.values())
    ]
    for split, table in tables.items() if told else ():
        path = folder / "data" / f"{split}{SHARD}"
        stage = path.with_suffix(".stage")
        first = 0
        with pq.ParquetFile(path) as file:
            schema = pa.schema([*file.schema_arrow, *told])
            with pq.ParquetWriter(stage, schema, compression="zstd") as writer:
                for group in range(file.num_row_groups):
                    rows = file.read_row_group(group)
                    for field_ in told:
                        rows = rows.append_column(field_, table[field_.name].slice(first, len(rows)))
                    writer.write_table(rows)
                    first += len(rows)
        stage.replace(path)


def _batches(rows: Rows, *, kind: str, split: str) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for number, row in enumerate(rows, start=1):
        if complaint := complaint_about(row, kind=kind):
            raise BadRows(
                gettext("Row %(number)s of %(split)s %(complaint)s.")
                % {"number": number, "split": split, "complaint": complaint},
                row=number,
                split=split,
            )
        batch.append(row)
        size += num_characters(row)
        if len(batch) == BATCH or size > MOST_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def num_characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(num_characters, value.values()))
    return sum(map(num_characters, value)) if isinstance(value, list) else 0


def tally_of(folder: Path, *, kind: str) -> Tally:
    """Reads through a folder that a run wrote. Raises `BadRows` where it is not what its kind says."""
    tally = Tally(kind, folder=folder.parent)
    for split in SPLITS:
        try:
            for batch in _batches(rows_below(folder / "data", split=split), kind=kind, split=split):
                for row in batch:
                    tally.add(split, row)
        except pa.ArrowInvalid as error:
            raise BadRows(
                gettext("The rows of %(split)s are no Parquet: %(error)s") % {"split": split, "error": error}
            ) from error
    tally.close(folder)
    return tally
