"""Labelled texts come in from JSON lines, tables and Parquet, whole or not at all, and no group is torn between splits."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.services.cards import FILE
from registry.services.datasets import TwoSplits, freeze_dataset, import_dataset, read_rows
from registry.services.export import export_dataset
from registry.services.importing import BadFile, BadLines


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(path, user):
    dataset = import_dataset(path.stem, path, kind="labelled", user=user)
    return [row for split in ("train", "test") for row in read_rows(dataset, split=split)]


def span(start, end, label=""):
    return {"start": start, "end": end, "label": label}


def test_a_table_gives_the_same_rows_as_json_lines_and_parquet(rex, tmp_path):
    rows = [
        {"id": "1", "text": 'Good, "really"\ngood', "label": "yes"},
        {"id": "2", "text": "Berlin ☂️ 2024", "spans": [span(0, 6, "PLACE")]},
    ]
    table = 'id,text,label,spans\n1,"Good, ""really""\ngood",yes,\n'
    table += '2,Berlin ☂️ 2024,,"[{""start"": 0, ""end"": 6, ""label"": ""PLACE""}]"\n'
    (tmp_path / "table.csv").write_text(table, encoding="utf-8-sig")
    pq.write_table(
        pa.Table.from_pylist([{"label": None, "spans": None, **row} for row in rows]), tmp_path / "p.parquet"
    )
    found = [
        imported(path, rex)
        for path in (tmp_path / "table.csv", tmp_path / "p.parquet", lines(tmp_path / "j.jsonl", *rows))
    ]
    assert found[0] == found[1] == found[2]
    assert {row["id"]: (row["label"], row["spans"]) for row in found[0]} == {
        "1": ("yes", []), "2": ("", [span(0, 6, "PLACE")]),
    }  # fmt: skip


def test_squads_and_conlls_layouts_are_understood(rex, tmp_path):
    asked = {"context": "He died in 1826.", "question": "When?", "answers": {"text": ["1826"], "answer_start": [11]}}
    tagged = {"tokens": ["New", "York", "and", "Rome"], "tags": ["B-PLACE", "I-PLACE", "O", "I-PLACE"]}
    found = {row["text"]: row for row in imported(lines(tmp_path / "l.jsonl", asked, tagged), rex)}
    assert found["He died in 1826."]["spans"] == [span(11, 15)]
    assert found["He died in 1826."]["question"] == "When?"
    assert found["New York and Rome"]["spans"] == [span(0, 8, "PLACE"), span(13, 17, "PLACE")]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": " ", "label": "a"}, "has an empty text"),
        ({"text": "abc", "spans": [span(1, 4, "X")]}, "has a span from 1 to 4, which is not within its 3 characters"),
        ({"text": "abc", "spans": [span(1, 2)]}, "has a span without a label"),
        ({"text": "abcd", "spans": [span(0, 3, "X"), span(2, 4, "Y")]}, "has spans that overlap"),
        ({"text": "abc", "spans": "here"}, "has no list of spans in spans"),
        ({"text": "abc", "question": "Q?", "answers": {"text": ["a"]}}, "has no list of spans"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "has a span that is not just start"),
        ({"label": "a"}, "has no text"),
        ({"text": "abc", "label": 1.5}, "has no text in label"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_keeps_the_file_out(rex, tmp_path, row, complaint):
    with pytest.raises(BadLines, match=rf"line 2 ({complaint})"):
        imported(lines(tmp_path / "l.jsonl", {"text": "fine", "label": "a"}, row), rex)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("text,label\na,b,c\n", "line 2 has 3 cells, not 2"),
        ("text,text\na,b\n", "line 1 names a column twice"),
        ('text,label\n"a"b,c\n', "line 2 is no CSV"),
        (b"text,label\n\xff,c\n", "is no UTF-8"),
    ],
)
def test_a_broken_table_is_told_by_line(rex, tmp_path, table, complaint):
    path = tmp_path / "t.csv"
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(BadLines, match=complaint):
        imported(path, rex)


def test_a_table_is_no_corpus(rex, tmp_path):
    (tmp_path / "t.csv").write_text("text\na\n")
    with pytest.raises(BadFile, match=r"\.csv as labelled"):
        import_dataset("t", tmp_path / "t.csv", kind="corpus", user=rex)


def test_no_group_is_torn_between_splits(rex, tmp_path):
    rows = [{"text": f"Paragraph {i}", "label": "a", "group": f"speech {i % 40}"} for i in range(400)]
    dataset = import_dataset("speeches", lines(tmp_path / "s.jsonl", *rows), kind="labelled", user=rex)
    groups = [{row["group"] for row in read_rows(dataset, split=split)} for split in ("train", "test")]
    assert groups[0] and groups[1] and not groups[0] & groups[1]

    whole = [{"question": "", "label": "a", "spans": [], "group": "g", "id": str(i), "text": str(i)} for i in (1, 2)]
    with pytest.raises(TwoSplits):
        freeze_dataset("torn", kind="labelled", splits={"train": whole[:1], "test": whole[1:]}, user=rex)


def test_a_labelled_dataset_is_exported_as_it_was_frozen(rex, tmp_path):
    rows = [{"text": "In Rome", "spans": [span(3, 7, "PLACE")], "split": "train"}, {"text": "No", "split": "test"}]
    dataset = import_dataset("out", lines(tmp_path / "o.jsonl", *rows), kind="labelled", user=rex)
    folder = export_dataset(dataset, fmt="trl-jsonl", out=tmp_path / "export")
    exported = json.loads((folder / "data/train.jsonl").read_text())
    assert exported == next(read_rows(dataset, split="train"))
    assert "- token-classification" in (folder / FILE).read_text()
