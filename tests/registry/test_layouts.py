"""Instructions and texts come in the layouts that people have, in files that are read row by row and never held."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.services import digests
from registry.services.datasets import import_dataset, read_rows
from registry.services.digests import Counts, Digests
from registry.services.importing import BadLines
from registry.services.lines import BadFile
from registry.services.schemas import RowsHash
from tests.registry.factories import turn

ROOT = Path(__file__).parents[2]


def imported(path, rex, *, kind="instructions", text=None, rows=()):
    path.write_text(text if text is not None else "".join(json.dumps(row) + "\n" for row in rows))
    dataset = import_dataset(path.name.replace(".", "-").lower(), path, kind=kind, user=rex)
    return [row for split in ("train", "test") for row in read_rows(dataset, split=split)]


LAYOUTS = {
    "alpaca": (
        {"instruction": "Add.", "input": "1 1", "output": "2"},
        [turn("user", "Add.\n\n1 1"), turn("assistant", "2")],
    ),
    "alpaca without input": (
        {"instruction": "Go.", "input": "", "output": "So."},
        [turn("user", "Go."), turn("assistant", "So.")],
    ),
    "dolly": (
        {"instruction": "Who?", "context": "Ada wrote.", "response": "Ada.", "category": "closed_qa"},
        [turn("user", "Who?\n\nAda wrote."), turn("assistant", "Ada.")],
    ),
    "sharegpt": (
        {"id": "x1", "conversations": [{"from": "human", "value": "A?"}, {"from": "gpt", "value": "a"}]},
        [turn("user", "A?"), turn("assistant", "a")],
    ),
    "sharegpt with a system turn": (
        {"system": "Be brief.", "conversations": [{"from": "user", "value": "A?"}, {"from": "chatgpt", "value": "a"}]},
        [turn("system", "Be brief."), turn("user", "A?"), turn("assistant", "a")],
    ),
    "conversations of roles": (
        {"conversations": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "a"}]},
        [turn("user", "A?"), turn("assistant", "a")],
    ),
    "messages": (
        {"messages": [turn("user", "A?"), turn("assistant", "a")]},
        [turn("user", "A?"), turn("assistant", "a")],
    ),
    "question and answer": ({"question": "A?", "answer": "a"}, [turn("user", "A?"), turn("assistant", "a")]),
    "prompt and response": ({"prompt": "A?", "response": "a"}, [turn("user", "A?"), turn("assistant", "a")]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_becomes_messages(rex, tmp_path, layout):
    row, messages = LAYOUTS[layout]
    (found,) = imported(tmp_path / "t.jsonl", rex, rows=[row])
    assert found["messages"] == messages
    assert found["id"] == row.get("id", found["id"])


def test_layouts_are_read_from_parquet_as_from_json(rex, tmp_path):
    for place, (row, _) in enumerate(LAYOUTS.values()):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / f"{place}.parquet")
        dataset = import_dataset(f"p{place}", tmp_path / f"{place}.parquet", kind="instructions", user=rex)
        assert [row["messages"] for row in read_rows(dataset, split="train")] == [list(LAYOUTS.values())[place][1]]


def test_an_instruction_with_several_instances_is_a_row_an_instance(rex, tmp_path):
    row = {
        "id": "seed_1",
        "instruction": "Add.",
        "instances": [{"input": "1 1", "output": "2"}, {"input": "", "output": "0"}],
    }
    found = {one["id"]: one["messages"][0]["content"] for one in imported(tmp_path / "s.jsonl", rex, rows=[row])}
    assert found == {"seed_1-1": "Add.\n\n1 1", "seed_1-2": "Add."}


def test_turns_of_nobody_known_and_talks_that_begin_with_an_answer_are_told_by_line(rex, tmp_path):
    rows = [
        {"conversations": [{"from": "human", "value": "A?"}, {"from": "gpt", "value": "a"}]},
        {"conversations": [{"from": "narrator", "value": "A?"}]},
        {"conversations": [{"from": "gpt", "value": "a"}]},
        {"conversations": []},
        {"instruction": "Add."},
    ]
    with pytest.raises(
        BadLines, match="line 2 has a turn of nobody known: narrator, and 3 more lines are bad"
    ) as refused:
        imported(tmp_path / "t.jsonl", rex, rows=rows)
    assert [line["line"] for line in refused.value.data["lines"]] == [2, 3, 4, 5]


def test_an_array_of_json_is_read_item_by_item(rex, tmp_path, monkeypatch):
    monkeypatch.setattr("registry.services.lines.READ_AT_ONCE", 7)
    rows = [{"instruction": f"Say “{i}” [], \\", "output": f"ß{i}"} for i in range(40)]
    found = imported(tmp_path / "alpaca.json", rex, text=json.dumps(rows, indent=1, ensure_ascii=False))
    assert sorted(row["messages"][1]["content"] for row in found) == sorted(row["output"] for row in rows)


@pytest.mark.parametrize(
    ("text", "line"), [('[{"text": "a"}, {"text": ]', 2), ('[{"text": "a"}', 2), ("[1]", 1), ("[{}]", 1)]
)
def test_a_broken_array_is_told_by_the_number_of_its_item(rex, tmp_path, text, line):
    with pytest.raises(BadLines) as refused:
        imported(tmp_path / "a.json", rex, kind="corpus", text=text)
    assert [told["line"] for told in refused.value.data["lines"]] == [line]


def test_files_may_be_packed_and_a_torn_one_is_told(rex, tmp_path):
    packed = gzip.compress("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(2000)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    assert import_dataset("a", tmp_path / "a.jsonl.gz", kind="corpus", user=rex).num_rows == 2000
    (tmp_path / "b.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BadFile, match=r"b.jsonl.gz cannot be read to its end"):
        import_dataset("b", tmp_path / "b.jsonl.gz", kind="corpus", user=rex)


def test_a_text_that_stands_often_gets_ids_of_their_own_and_is_imported_the_same_again(rex, tmp_path):
    rows = [{"text": "again"}] * 50 + [{"text": "once"}]
    one, two = (imported(tmp_path / f"{name}.jsonl", rex, kind="corpus", rows=rows) for name in "ab")
    assert len({row["id"] for row in one}) == 51 and one == two
    assert max(len(row["id"]) for row in one) < 30


def test_digests_are_sorted_whether_they_stay_in_memory_or_go_to_disk(tmp_path, monkeypatch):
    lot = random.Random(0)
    records = [bytes(lot.choices((0, 1, 255), k=5)) for _ in range(3000)]
    for held in (10**9, 700):
        monkeypatch.setattr(digests, "HELD", held)
        monkeypatch.setattr(digests, "FEW", 1 if held == 700 else 10**6)
        kept = Digests(5, folder=tmp_path)
        for record in records:
            kept.add(record)
        assert [record for block in kept.blocks() for record in block] == sorted(records)
    assert not list(tmp_path.iterdir())  # a file without a name


def test_a_hash_of_rows_is_the_same_from_disk(tmp_path, monkeypatch):
    def made():
        whole = RowsHash("corpus", folder=tmp_path)
        for i in range(500):
            whole.add("train" if i % 5 else "test", {"id": str(i), "text": str(i), "source": ""})
        return whole.hexdigest()

    in_memory = made()
    monkeypatch.setattr(digests, "HELD", 1000)
    assert made() == in_memory


def test_counts_know_what_was_met_twice():
    counts = Counts()
    for key in (5, 2**64 - 1, 5, 7, 2**64 - 1, 5):
        counts.add(key)
    counts.close(at_least=2)
    assert [counts.of(key) for key in (5, 7, 2**64 - 1, 0)] == [3, 0, 2, 0]


MEASURE = """
import json, resource, sys
from pathlib import Path
import django
django.setup()
from registry.services import importing
from registry.services.datasets import Tally, write_split
for count in (2_000, 20_000):
    folder = Path(sys.argv[1]) / str(count)
    (folder / "data").mkdir(parents=True)
    path = folder / "rows.jsonl"
    with path.open("w") as file:
        for i in range(count):
            file.write(json.dumps({"text": f"{i} " + "some words " * 20}) + chr(10))
    seen = importing.survey(path, kind="corpus")
    tally = Tally("corpus", folder=folder)
    for split in ("train", "test"):
        write_split(folder, split=split, rows=importing.rows_of(path, kind="corpus", split=split, seen=seen), tally=tally)
    tally.close(folder)
    assert sum(tally.splits.values()) == count
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_hardly_grows_with_the_rows_of_a_file(tmp_path):
    """In a process of its own; `make bench-data` measures it at a size that counts."""
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    few, many = map(int, told.split())  # KiB
    assert (many - few) * 1024 / 18_000 < 250  # bytes a row, of which the file has 230
