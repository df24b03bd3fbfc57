"""Datasets taken away open elsewhere: both splits, each format, the card, the same bytes, no names of people."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from audit.models import AuditEvent
from registry.models import DatasetVersion
from registry.services.artifacts import ArtifactDamaged
from registry.services.datasets import freeze_dataset, import_dataset, read_rows
from registry.services.export import FORMATS, FolderTaken, NoSuchFormat, export_dataset, formats_of, stream_export
from training.contract import folder_files

LOAD = """
import json, sys
from datasets import load_dataset
told = {}
for folder in sys.argv[1:]:
    found = load_dataset(folder)
    told[folder] = {split: [rows.column_names, rows.to_list()] for split, rows in found.items()}
print(json.dumps(told))
"""


def loaded(folders: list[Path], tmp_path: Path) -> dict[str, dict]:
    """What `datasets.load_dataset` makes of them, in a process of its own and with no way to the hub."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-c", LOAD, *map(str, folders)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_load_dataset_opens_both_splits_of_every_format_and_of_the_stored_folder(preferences, prompts, tmp_path):
    folders = [export_dataset(preferences, fmt=fmt, out=tmp_path / fmt) for fmt in FORMATS]
    folders += [
        export_dataset(prompts, fmt=fmt, out=tmp_path / f"prompts-{fmt}") for fmt in ("trl-jsonl", "trl-parquet")
    ]
    folders += [preferences.artifact.folder]
    found = loaded(folders, tmp_path)
    for folder in folders:
        assert set(found[str(folder)]) == {"train", "test"}, folder
    for fmt in ("trl-jsonl", "trl-parquet"):
        assert found[str(tmp_path / fmt)]["train"][1] == list(read_rows(preferences, split="train"))
    columns, rows = found[str(tmp_path / "hh-jsonl")]["test"]
    assert columns == ["chosen", "rejected", "simulated"]
    assert rows[0]["chosen"] == "\n\nHuman: Who?\n\nAssistant: Good 4"
    columns, rows = found[str(tmp_path / "rankings-jsonl")]["train"]
    assert columns == ["prompt", "completions", "rankings"]
    assert [ranking["tiers"] for ranking in rows[0]["rankings"]] == [[["a"], ["b"]]] * 2
    assert all(ranking["simulated"] for row in rows for ranking in row["rankings"])
    assert found[str(tmp_path / "prompts-trl-jsonl")]["test"][0] == ["id", "prompt"]


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_dataset_is_the_same_bytes(preferences, tmp_path, fmt):
    one, other = (export_dataset(preferences, fmt=fmt, out=tmp_path / name) for name in ("one", "other"))
    assert folder_files(one) == folder_files(other)
    assert body(preferences, fmt=fmt) == body(DatasetVersion.objects.get(pk=preferences.pk), fmt=fmt)


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_download_is_the_folder_as_a_zip(preferences, rex, tmp_path, fmt):
    folder = export_dataset(preferences, fmt=fmt, out=tmp_path / "folder")
    with zipfile.ZipFile(io.BytesIO(body(preferences, fmt=fmt))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "zip")
    assert folder_files(tmp_path / "zip" / f"harbour-1-{fmt}") == folder_files(folder)


def body(dataset: DatasetVersion, *, fmt: str) -> bytes:
    return b"".join(stream_export(dataset, fmt=fmt))


def test_a_download_under_asgi_comes_in_pieces(rex):
    rows = [{"id": str(i), "text": f"{i} " * 50, "source": ""} for i in range(5000)]
    dataset = freeze_dataset("long", kind="corpus", splits={"train": rows}, user=rex)
    response = stream_export(dataset, fmt="trl-jsonl", user=rex)

    async def pieces() -> list[bytes]:
        return [piece async for piece in response]

    assert len(asyncio.run(pieces())) >= 6
    assert response["Cache-Control"] == "no-store"
    event = AuditEvent.objects.get(action="dataset.exported")
    assert (event.actor, event.data["rows"], event.data["format"]) == (rex, 5000, "trl-jsonl")


def test_the_card_says_what_was_simulated_and_how_to_read_it(preferences, prompts, tmp_path):
    card = (export_dataset(preferences, fmt="hh-jsonl", out=tmp_path / "hh") / "README.md").read_text()
    assert "**Simulated.**" in card and "- simulated\n" in card
    assert "license: mit\n" in card and "Rankings of the harbour campaign." in card
    assert preferences.rows_sha256 in card
    plain = (export_dataset(prompts, fmt="trl-jsonl", out=tmp_path / "p") / "README.md").read_text()
    assert "imulated" not in plain


def test_raters_are_pseudonyms_in_every_format(preferences, rex, grace):
    names = {rex.username, grace.username}
    for fmt in ("trl-jsonl", "hh-jsonl", "rankings-jsonl"):
        with zipfile.ZipFile(io.BytesIO(body(preferences, fmt=fmt))) as archive:
            for entry in archive.namelist():
                if entry.endswith(".jsonl"):
                    for line in archive.read(entry).decode().splitlines():
                        row = json.loads(line)
                        told = [r["rater"] for r in row.get("rankings", [])] + [row.get("rater", "rater-0")]
                        assert all(rater.startswith("rater-") for rater in told) and not names & set(told)


def test_what_was_exported_is_imported_again_as_the_same_rows(preferences, rex, tmp_path):
    folder = export_dataset(preferences, fmt="trl-jsonl", out=tmp_path / "out")
    rows = [
        {**json.loads(line), "split": split}
        for split in ("train", "test")
        for line in (folder / "data" / f"{split}.jsonl").read_text().splitlines()
    ]
    (tmp_path / "again.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    again = import_dataset("again", tmp_path / "again.jsonl", kind="preference", user=rex)
    plain = [{**row, "rater": ""} for row in read_rows(preferences, split="train")]
    assert [{**row, "rater": ""} for row in read_rows(again, split="train")] == plain
    assert again.splits == preferences.splits and again.is_simulated


def test_formats_are_those_that_the_dataset_has(preferences, prompts, rex, tmp_path):
    assert [fmt for fmt, _ in formats_of(preferences)] == list(FORMATS)
    assert [fmt for fmt, _ in formats_of(prompts)] == ["trl-jsonl", "trl-parquet"]
    with pytest.raises(NoSuchFormat, match="not as hh-jsonl"):
        export_dataset(prompts, fmt="hh-jsonl", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(prompts, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FolderTaken):
        export_dataset(prompts, fmt="trl-jsonl", out=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_damaged_dataset_is_not_exported(prompts, tmp_path):
    path = prompts.artifact.folder / "data" / "train-00000-of-00001.parquet"
    raw = bytearray(path.read_bytes())
    raw[20] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ArtifactDamaged, match=r"train-00000-of-00001.parquet .* was changed"):
        export_dataset(prompts, fmt="trl-jsonl", out=tmp_path / "out")
