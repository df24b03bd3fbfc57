"""Datasets taken away: a folder or a zip that `datasets.load_dataset` opens, with a card, the same bytes each time."""

from __future__ import annotations

import itertools
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.errors import Conflict, NotFound
from accounts.models import User
from audit.services import record
from registry.models import DatasetKind, DatasetVersion
from registry.services import cards, profiles
from registry.services.artifacts import told_if_full, verify
from registry.services.datasets import BATCH, SHARD, read_rows, rows_below
from registry.services.schemas import OPTIONAL, SCHEMAS, SPLITS, optional_names
from registry.services.zips import Spill, ZipDownload, zipped

Row = dict[str, Any]

JSONL, PARQUET, HH, RANKINGS = "trl-jsonl", "trl-parquet", "hh-jsonl", "rankings-jsonl"
FORMATS = (JSONL, PARQUET, HH, RANKINGS)
LABELS: dict[str, str | Promise] = {
    JSONL: _("TRL preference, JSON lines"),
    PARQUET: _("TRL preference, Parquet"),
    HH: _("Anthropic HH, JSON lines"),
    RANKINGS: _("Rankings, JSON lines"),
}
PLAIN_LABELS: dict[str, str | Promise] = {JSONL: _("JSON lines"), PARQUET: "Parquet"}
READ_AS = {
    HH: "`chosen` and `rejected` are whole transcripts that differ in their last reply, as in Anthropic's HH data.",
    RANKINGS: (
        "A row is a prompt with its `completions` and everybody's `rankings` of them: `tiers` of completion ids from best to"
        " worst (ids in one tier are tied), `strengths` of the gaps between tiers, `seconds` that it took. `cannot_rank` says"
        " why there are no tiers; `texts` has for each text of a ranking whether it was left out, its flags, its ratings as"
        " JSON, and, where a rater wrote it, the text that it betters (`better_than`). `rater_group` stands there where the"
        " campaign names groups of raters."
    ),
}
COMPARISONS = (
    "A row is one comparison in TRL's conversational preference format. Rows of one `group_id` have the same prompt: keep"
    " them together. `weight` makes prompts count alike, `margin` says how strongly the rater preferred. Raters are"
    " pseudonyms."
)
AI_TOLD = (
    " A ranking that has `ai` true is by a feedback model, whose name stands as `rater`: `labels` has for each pair of"
    " completions the probability (`label`) that `chosen` is the better one, and the principle that it was judged by."
)
LABELS_TOLD = " `label`, where there is one, is the probability that `chosen` is the better text."
# By one ranking; `rater_group` where the campaign names groups, `ai` and `labels` where a feedback model ranked.
SAID = ("rater", "rater_group", "tiers", "strengths", "seconds", "simulated", "all_bad", "cannot_rank", "texts", "ai",
        "labels")  # fmt: skip
SPEAKERS = {"user": "Human", "assistant": "Assistant"}


class NoSuchFormat(NotFound):
    code = "no_such_format"


class FolderTaken(Conflict):
    code = "folder_taken"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export; `chunks` makes its bytes as they are asked for."""

    path: str
    chunks: Iterator[bytes]


def formats_of(dataset: DatasetVersion) -> list[tuple[str, str | Promise]]:
    """The formats that this dataset has, with what people call them."""
    if dataset.kind != DatasetKind.PREFERENCE:
        return list(PLAIN_LABELS.items())
    return [(fmt, label) for fmt, label in LABELS.items() if fmt != RANKINGS or splits_of(dataset, fmt=fmt)]


def export_dataset(dataset: DatasetVersion, *, fmt: str, out: Path) -> Path:
    """Writes the folder `out`, which must not exist or be empty, whole or not at all.

    Raises `NoSuchFormat`, `FolderTaken`, `ArtifactDamaged`, `DiskFull`.
    """
    check_format(dataset, fmt=fmt)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FolderTaken(gettext("%(out)s exists and is not empty. Name another folder.") % {"out": out})
    verify(dataset.artifact)
    stage = out.with_name(f".{out.name}-{uuid.uuid4()}")
    try:
        with told_if_full(gettext("the export")):
            for file in files_of(dataset, fmt=fmt):
                path = stage / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as target:
                    target.writelines(file.chunks)
        if out.exists():
            out.rmdir()
        stage.rename(out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return out


def stream_export(dataset: DatasetVersion, *, fmt: str, user: User | None = None) -> ZipDownload:
    """The same folder as a zip, made while it is sent: nothing of it is on disk, and a batch of rows in memory."""
    check_format(dataset, fmt=fmt)
    verify(dataset.artifact)
    record_export(dataset, fmt=fmt, user=user)
    name = f"{dataset.name}-{fmt}"
    files = ((f"{name}/{file.path}", file.chunks) for file in files_of(dataset, fmt=fmt))
    return ZipDownload(zipped(files), filename=f"{name}.zip")


def record_export(dataset: DatasetVersion, *, fmt: str, user: User | None) -> None:
    record(
        "dataset.exported", actor=user, target=dataset, name=dataset.name, format=fmt, rows=dataset.num_rows,
        rows_sha256=dataset.rows_sha256,
    )  # fmt: skip


def check_format(dataset: DatasetVersion, *, fmt: str) -> None:
    known = [name for name, _label in formats_of(dataset)]
    if fmt not in known:
        raise NoSuchFormat(
            gettext("%(name)s is exported as %(known)s, not as %(fmt)s.")
            % {"name": dataset.name, "known": ", ".join(known), "fmt": fmt}
        )


def files_of(dataset: DatasetVersion, *, fmt: str) -> Iterator[ExportFile]:
    splits = splits_of(dataset, fmt=fmt)
    paths = {split: f"data/{split}{SHARD if fmt == PARQUET else '.jsonl'}" for split in splits}
    facts = cards.Facts(
        name=dataset.name, kind=dataset.kind, rows_sha256=dataset.rows_sha256, splits=splits, licence=dataset.licence,
        text="\n\n".join(part for part in (dataset.card.strip(), read_as(dataset, fmt=fmt)) if part),
        is_simulated=dataset.is_simulated, profile=profiles.short_of(dataset),
    )  # fmt: skip
    yield ExportFile(cards.FILE, iter([cards.card(facts, files={"default": paths}).encode()]))
    for split, path in paths.items():
        rows = rows_of(dataset, fmt=fmt, split=split)
        yield ExportFile(path, parquet_bytes(rows, schema=schema_of(dataset)) if fmt == PARQUET else json_bytes(rows))


def splits_of(dataset: DatasetVersion, *, fmt: str) -> dict[str, int]:
    """The splits that have rows in this format, and how many."""
    if fmt != RANKINGS:
        return {split: dataset.splits[split] for split in SPLITS if dataset.splits.get(split)}
    folder = dataset.artifact.folder / "rankings"
    counts = {split: sum(1 for _task in tasks_below(folder, split=split)) for split in SPLITS}
    return {split: count for split, count in counts.items() if count}


def read_as(dataset: DatasetVersion, *, fmt: str) -> str:
    if dataset.kind != DatasetKind.PREFERENCE:
        return ""
    if fmt == RANKINGS:
        return READ_AS[fmt] + (AI_TOLD if has_ai_rankings(dataset) else "")
    has_labels = "label" in schema_of(dataset).names
    return READ_AS.get(fmt, COMPARISONS) + (LABELS_TOLD if has_labels else "")


def has_ai_rankings(dataset: DatasetVersion) -> bool:
    return any("ai" in pq.read_schema(path).names for path in dataset.artifact.folder.glob("rankings/*.parquet"))


def rows_of(dataset: DatasetVersion, *, fmt: str, split: str) -> Iterator[Row]:
    if fmt == RANKINGS:
        return tasks_below(dataset.artifact.folder / "rankings", split=split)
    shape: Callable[[Row], Row] = hh_row if fmt == HH else prompt_row if dataset.kind == DatasetKind.PROMPTS else dict
    return map(shape, read_rows(dataset, split=split))


def schema_of(dataset: DatasetVersion) -> pa.Schema:
    schema = SCHEMAS[dataset.kind]
    if optional := OPTIONAL.get(dataset.kind):
        there = {name for path in dataset.artifact.folder.glob("data/*.parquet") for name in pq.read_schema(path).names}
        schema = pa.schema([*schema, *(column for column in optional if column.name in there)])
    if dataset.kind != DatasetKind.PROMPTS:
        return schema
    return pa.schema([column.with_name("prompt") if column.name == "messages" else column for column in schema])


def prompt_row(row: Row) -> Row:
    """TRL calls a conversation that is to be gone on with a prompt."""
    return {"id": row["id"], "prompt": row["messages"]}


def hh_row(row: Row) -> Row:
    before = transcript(row["prompt"])
    return {
        "chosen": before + transcript(row["chosen"]),
        "rejected": before + transcript(row["rejected"]),
        "simulated": row["simulated"],
        **{name: row[name] for name in optional_names(DatasetKind.PREFERENCE) if name in row},
    }


def transcript(messages: list[dict[str, str]]) -> str:
    """Anthropic's HH layout; a system message, which it has no speaker for, stands before the first turn."""
    parts = []
    for message in messages:
        speaker = SPEAKERS.get(message["role"])
        parts.append(f"\n\n{speaker}: {message['content']}" if speaker else message["content"])
    return "".join(parts)


def tasks_below(folder: Path, *, split: str) -> Iterator[Row]:
    """Rankings of the same completions that stand side by side, as one row in the native format."""
    rows = rows_below(folder, split=split)
    for _key, group in itertools.groupby(rows, key=lambda row: (row["group_id"], sorted(shown_in(row)))):
        rankings = list(group)
        texts = {text["id"]: text for ranking in rankings for text in ranking["completions"]}
        yield {
            "prompt": rankings[0]["prompt"],
            "completions": list(texts.values()),
            "rankings": [{name: ranking[name] for name in SAID if name in ranking} for ranking in rankings],
        }


def shown_in(row: Row) -> list[str]:
    """The completions that the rater was shown: a better version is her own, beside those that others ranked too."""
    own = {text["id"] for text in row["texts"] if text["better_than"]}
    return [text["id"] for text in row["completions"] if text["id"] not in own]


def json_bytes(rows: Iterator[Row]) -> Iterator[bytes]:
    while batch := list(itertools.islice(rows, BATCH)):
        yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in batch).encode()


def parquet_bytes(rows: Iterator[Row], *, schema: pa.Schema) -> Iterator[bytes]:
    spill = Spill()
    with pq.ParquetWriter(spill, schema, compression="zstd") as writer:
        while batch := list(itertools.islice(rows, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            yield spill.take()
    yield spill.take()
