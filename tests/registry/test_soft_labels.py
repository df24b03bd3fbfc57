"""Datasets with soft labels: one optional column, checked, in every split; a dataset without it is what it always was."""

from __future__ import annotations

import io
import json
import zipfile

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from registry.models import DatasetKind
from registry.services import datasets
from registry.services.datasets import BadRows, freeze_dataset, import_dataset, read_rows, tally_of
from registry.services.export import HH, JSONL, PARQUET, export_dataset, stream_export
from registry.services.importing import BadLines
from tests.registry import factories

pytestmark = pytest.mark.django_db


def row(number: int, label: float | None = None, **more):
    made = factories.preference_row(f"Question {number}?", number=number)
    return made | more | ({} if label is None else {"label": label})


def frozen(name, user, *, train, test=()):
    splits = {"train": train, "test": test} if test else {"train": train}
    return freeze_dataset(name, kind=DatasetKind.PREFERENCE, splits=splits, user=user)


def test_a_label_is_kept_in_a_column_that_all_splits_have(rex, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "BATCH", 3)  # a label is met when rows were already written
    train = [*(row(n) for n in range(5)), row(5, 0.75), row(6)]
    dataset = frozen("soft", rex, train=train, test=[row(7)])
    told = [one["label"] for one in read_rows(dataset, split="train")]
    assert told == [None] * 5 + [0.75, None] and [one["label"] for one in read_rows(dataset, split="test")] == [None]
    assert [{k: v for k, v in one.items() if v is not None} for one in read_rows(dataset, split="train")] == train
    assert load_dataset(str(dataset.artifact.folder))["train"]["label"] == told
    assert not list(dataset.artifact.folder.rglob("*.stage"))


def test_a_dataset_without_labels_has_no_such_column_and_the_hash_that_it_had(rex):
    rows = [row(n) for n in range(4)]
    plain = frozen("plain", rex, train=rows)
    nothing_said = frozen("nothing-said", rex, train=[{**one, "label": None} for one in rows])
    # What these four rows came to before there were labels.
    before = "48526067ba42c38815ac8b14814990207d82a7e41a71a1191eed56c94a7bb09c"
    assert plain.rows_sha256 == nothing_said.rows_sha256 == before
    name = "data/train-00000-of-00001.parquet"
    assert plain.artifact.files[name] == nothing_said.artifact.files[name]
    assert "label" not in pq.read_schema(plain.artifact.folder / name).names


def test_the_page_shows_a_label_where_there_is_one(rex, client):
    dataset = frozen("soft", rex, train=[row(0), row(1, 0.625)])
    client.force_login(rex)
    page = client.get(f"/datasets/{dataset.pk}/").content.decode()
    assert "0.625" in page and "None" not in page


def test_a_label_is_part_of_the_hash_and_a_stored_folder_is_read_to_the_same_one(rex):
    one = frozen("one", rex, train=[row(0), row(1, 0.6)])
    other = frozen("other", rex, train=[row(0), row(1, 0.7)])
    assert len({one.rows_sha256, other.rows_sha256, frozen("none", rex, train=[row(0), row(1)]).rows_sha256}) == 3
    assert tally_of(one.artifact.folder, kind=DatasetKind.PREFERENCE).rows_sha256 == one.rows_sha256


@pytest.mark.parametrize("label", [0.49, 1.01, -1, "sure", True, float("nan")])
def test_a_label_that_is_no_number_from_one_half_to_one_is_refused(rex, tmp_path, label):
    with pytest.raises(BadRows, match=r"Row 2 of train has a label that is no number from 0\.5 to 1"):
        frozen("bad", rex, train=[row(0), row(1, label)])
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (row(0), row(1, label))))
    with pytest.raises(BadLines):
        import_dataset("bad", path, kind=DatasetKind.PREFERENCE, user=rex)


@pytest.mark.parametrize("fmt", [JSONL, PARQUET, HH])
def test_labels_leave_with_every_export_and_come_back(rex, tmp_path, fmt):
    rows = [row(n, 0.5 + n / 100 if n % 2 else None) for n in range(6)]
    dataset = frozen("soft", rex, train=rows)
    out = export_dataset(dataset, fmt=fmt, out=tmp_path / "out")
    assert "`label`" in (out / "README.md").read_text()
    assert load_dataset(str(out))["train"]["label"] == [one.get("label") for one in rows]
    (path,) = out.glob("data/train*")
    again = import_dataset("again", path, kind=DatasetKind.PREFERENCE, user=rex)
    told = [one.get("label") for split in ("train", "test") for one in read_rows(again, split=split)]
    assert sorted(filter(None, told)) == [one["label"] for one in rows if "label" in one]
    names = zipfile.ZipFile(io.BytesIO(b"".join(stream_export(dataset, fmt=fmt)))).namelist()
    assert len(names) == 2


def test_an_export_without_labels_says_nothing_of_them(rex, tmp_path):
    out = export_dataset(frozen("plain", rex, train=[row(0)]), fmt=PARQUET, out=tmp_path / "out")
    assert "`label`" not in (out / "README.md").read_text()
    assert "label" not in pq.read_schema(out / "data/train-00000-of-00001.parquet").names
