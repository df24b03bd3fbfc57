"""Freezing rows into a dataset, reading them back, and taking them in from a file: all of it or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.db import transaction

from accounts.errors import UserError
from accounts.models import User
from audit.services import record
from registry.models import Artifact, ArtifactKind, DatasetKind, DatasetVersion, ModelVersion
from registry.services.artifacts import store_folder
from registry.services.names import check_name
from registry.services.schemas import GROUP, SCHEMAS, BadRow, checked

SPLITS = ("train", "test")
CHUNK = 1000  # rows a Parquet row group


class BadDataset(UserError):
    code = "bad_dataset"


def freeze_dataset(
    name: str,
    *,
    kind: str,
    splits: dict[str, Iterable[dict[str, Any]]],
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
    """Writes the rows as Parquet and makes them known. `extra_files(folder)` may add files beside `data/`.

    Raises `BadName`, `NameTaken`, `BadRow` (with the row's number), and `BadDataset` for a dataset without rows, of an
    unknown kind, or with one prompt in two splits.
    """
    check_name(name)
    if kind not in SCHEMAS:
        raise BadDataset(f"There is no kind of dataset called {kind}; there are {', '.join(SCHEMAS)}.")
    settings.ARTIFACTS_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.ARTIFACTS_DIR, prefix=".freeze-") as stage:
        folder = Path(stage) / "dataset"
        folder.mkdir()
        counts, rows_sha256 = write_splits(folder, kind=kind, splits=splits)
        if extra_files is not None:
            extra_files(folder)
        (folder / "README.md").write_text(card, encoding="utf-8")
        artifact = store_folder(folder, kind=ArtifactKind.DATASET, move=True)
    try:
        return register_dataset(
            name, kind=kind, artifact=artifact, counts=counts, rows_sha256=rows_sha256, parents=parents,
            models_used=models_used, run=run, user=user, query=query, card=card, licence=licence, is_simulated=is_simulated,
        )  # fmt: skip
    except BaseException:
        shutil.rmtree(artifact.folder, ignore_errors=True)
        artifact.delete()
        raise


@transaction.atomic
def register_dataset(
    name: str,
    *,
    kind: str,
    artifact: Artifact,
    counts: dict[str, int] | None = None,
    rows_sha256: str = "",
    parents: Iterable[DatasetVersion] = (),
    models_used: Iterable[ModelVersion] = (),
    run: uuid.UUID | None = None,
    user: User | None = None,
    query: dict[str, Any] | None = None,
    card: str = "",
    licence: str = "",
    is_simulated: bool = False,
) -> DatasetVersion:
    """Makes a stored folder of rows known; counts and hash are taken from its files where they are not given."""
    check_name(name)
    if counts is None:
        counts, rows_sha256 = counted(artifact)
    dataset = DatasetVersion.objects.create(
        name=name,
        kind=kind,
        artifact=artifact,
        rows_sha256=rows_sha256,
        num_rows=sum(counts.values()),
        splits=counts,
        query=query or {},
        run=run,
        licence=licence,
        card=card,
        is_simulated=is_simulated,
        created_by=user,
    )
    dataset.parents.set(parents)
    dataset.models_used.set(models_used)
    record("dataset.freeze", actor=user, target=dataset, name=name, kind=kind, rows=dataset.num_rows, sha256=rows_sha256)
    return dataset


def write_splits(folder: Path, *, kind: str, splits: dict[str, Iterable[dict[str, Any]]]) -> tuple[dict[str, int], str]:
    """Rows by split and the hash of all rows. A split without rows gets no file."""
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise BadDataset(f"{', '.join(unknown)} is no split; there are {', '.join(SPLITS)}.")
    (folder / "data").mkdir()
    counts: dict[str, int] = {}
    hashes: list[bytes] = []
    home: dict[bytes, str] = {}  # what a row is about -> the split that it is in
    for split in SPLITS:
        rows = guarded(splits.get(split, ()), kind=kind, split=split, home=home, hashes=hashes)
        if count := write_parquet(parquet_path(folder, split), rows, schema=SCHEMAS[kind]):
            counts[split] = count
    if not counts:
        raise BadDataset("There is no row to freeze.", code="no_rows")
    return counts, hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def guarded(
    rows: Iterable[dict[str, Any]], *, kind: str, split: str, home: dict[bytes, str], hashes: list[bytes]
) -> Iterator[dict[str, Any]]:
    """Each row checked, hashed, and refused where the other split is about the same."""
    for number, raw in enumerate(rows, start=1):
        try:
            row = checked(raw, kind=kind)
        except BadRow as error:
            raise BadRow(f"Row {number} of {split}: {error.sentence}.", row=number, split=split) from None
        about = digest(row[GROUP[DatasetKind(kind)]])
        if home.setdefault(about, split) != split:
            raise BadDataset(f"Row {number} of {split} is about a prompt that {home[about]} has too.", code="split_leak", row=number)
        hashes.append(digest([split, row]))
        yield row


def digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()).digest()


def write_parquet(path: Path, rows: Iterable[dict[str, Any]], *, schema: pa.Schema) -> int:
    """Streams rows in chunks; returns how many. Writes no file for none."""
    count = 0
    writer: pq.ParquetWriter | None = None
    rows = iter(rows)
    try:
        while chunk := list(islice(rows, CHUNK)):
            writer = writer or pq.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    finally:
        if writer is not None:
            writer.close()
    return count


def parquet_path(folder: Path, split: str) -> Path:
    return folder / "data" / f"{split}-00000-of-00001.parquet"


def counted(artifact: Artifact) -> tuple[dict[str, int], str]:
    """Rows by split and the hash of all rows of a stored folder."""
    counts: dict[str, int] = {}
    hashes: list[bytes] = []
    for split in SPLITS:
        path = parquet_path(artifact.folder, split)
        if path.exists():
            found = [digest([split, row]) for row in iterate(path)]
            counts[split] = len(found)
            hashes += found
    return counts, hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def read_rows(dataset: DatasetVersion, *, split: str, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a split in their stored order, read in chunks; none where the split has no rows."""
    path = parquet_path(dataset.artifact.folder, split)
    return islice(iterate(path), limit) if path.exists() else iter(())


def iterate(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=CHUNK):
            yield from batch.to_pylist()
