"""Files of people: their layouts are understood, bad lines are told by number, and one of them keeps the file out."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings

from registry.models import Artifact, DatasetVersion
from registry.services.datasets import import_dataset, read_rows
from registry.services.importing import BadFile, BadLines
from registry.services.schemas import conversation_sha256, split_of
from tests.registry.factories import turn


def lines(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def all_rows(dataset: DatasetVersion) -> list[dict]:
    return [row for split in ("train", "test") for row in read_rows(dataset, split=split)]


def test_bad_lines_are_told_by_number_and_nothing_is_imported(rex, tmp_path):
    path = lines(
        tmp_path / "p.jsonl", {"prompt": "Why?"}, "", "{", {"prompt": ""}, {"messages": 3}, {"prompt": 7}, "[1]"
    )
    with pytest.raises(
        BadLines, match=r"p.jsonl, line 3 is no JSON, and 3 more lines are bad\. Nothing was"
    ) as refused:
        import_dataset("p", path, kind="prompts", user=rex)
    assert [line["line"] for line in refused.value.data["lines"]] == [3, 5, 6, 7]
    assert not DatasetVersion.objects.exists() and not Artifact.objects.exists()
    assert not settings.ARTIFACTS_DIR.exists()


def test_of_many_bad_lines_the_first_twenty_are_told_and_all_are_counted(rex, tmp_path):
    path = lines(tmp_path / "p.jsonl", *["no"] * 50)
    with pytest.raises(BadLines) as refused:
        import_dataset("p", path, kind="prompts", user=rex)
    assert len(refused.value.data["lines"]) == 20
    assert refused.value.data["num_bad"] == 50


def test_prompts_by_line_are_split_by_content_whatever_their_order(rex, tmp_path):
    questions = [f"Question {i}?" for i in range(200)]
    one = import_dataset("one", lines(tmp_path / "a.txt", *questions), kind="prompts", user=rex)
    other = import_dataset("other", lines(tmp_path / "b.txt", *questions[::-1]), kind="prompts", user=rex)
    assert one.rows_sha256 == other.rows_sha256
    assert 5 < one.splits["test"] < 40
    assert all(split_of(conversation_sha256(row["messages"])) == "test" for row in read_rows(one, split="test"))


def test_a_file_too_small_to_hold_a_tenth_out_is_for_training(rex, tmp_path):
    question = next(
        q for i in range(1000) if split_of(conversation_sha256([turn("user", q := f"Question {i}?")])) == "test"
    )
    dataset = import_dataset("small", lines(tmp_path / "a.txt", question), kind="prompts", user=rex)
    assert dataset.splits == {"train": 1}


def test_a_split_that_the_file_names_is_obeyed(rex, tmp_path):
    rows = [{"prompt": f"Q{i}", "split": "test" if i % 2 else "train"} for i in range(6)]
    dataset = import_dataset("named", lines(tmp_path / "a.jsonl", *rows), kind="prompts", user=rex)
    assert dataset.splits == {"train": 3, "test": 3}


def test_passages_of_a_text_are_separated_by_blank_lines_else_one_a_line(rex, tmp_path):
    wrapped = import_dataset("w", lines(tmp_path / "w.txt", "a", "b", "", "", "c", ""), kind="corpus", user=rex)
    assert sorted(row["text"] for row in all_rows(wrapped)) == ["a\nb", "c"]
    flat = import_dataset("f", lines(tmp_path / "f.txt", "a", "b", "c"), kind="corpus", user=rex)
    assert sorted(row["text"] for row in all_rows(flat)) == ["a", "b", "c"]


def test_a_repeated_passage_is_kept_under_an_id_of_its_own(rex, tmp_path):
    dataset = import_dataset("twice", lines(tmp_path / "t.txt", "a", "a", "b"), kind="corpus", user=rex)
    assert dataset.num_rows == 3 and len({row["id"] for row in all_rows(dataset)}) == 3


def test_an_id_that_is_given_twice_is_told(rex, tmp_path):
    path = lines(tmp_path / "t.jsonl", {"id": "1", "text": "a"}, {"id": "1", "text": "b"})
    with pytest.raises(BadLines, match="line 2 has the id of line 1"):
        import_dataset("t", path, kind="corpus", user=rex)


def test_instructions_come_as_messages_or_as_question_and_answer(rex, tmp_path):
    rows = [
        {"messages": [turn("user", "A?"), turn("assistant", "a")]},
        {"prompt": "B?", "completion": "b"},
        {"instruction": "Add.", "input": "1 1", "output": "2", "author": "x"},
    ]
    dataset = import_dataset("talks", lines(tmp_path / "t.jsonl", *rows), kind="instructions", user=rex)
    asked = {row["messages"][0]["content"]: row["messages"][-1]["content"] for row in all_rows(dataset)}
    assert asked == {"A?": "a", "B?": "b", "Add.\n\n1 1": "2"}
    assert dataset.query["columns_left_out"] == ["author"]


def test_comparisons_come_in_every_layout_of_trl_and_as_hh_transcripts(rex, tmp_path):
    asked = [turn("user", "Why?"), turn("assistant", "Because."), turn("user", "Really?")]
    hh = "\n\nHuman: Why?\n\nAssistant: Because.\n\nHuman: Really?\n\nAssistant:"
    rows = [
        {"prompt": asked, "chosen": [turn("assistant", "Yes.")], "rejected": [turn("assistant", "No.")]},
        {"prompt": asked, "chosen": "Yes.", "rejected": "No.", "rater": "ada@example.org"},
        {"chosen": [*asked, turn("assistant", "Yes.")], "rejected": [*asked, turn("assistant", "No.")]},
        {"chosen": f"{hh} Yes.", "rejected": f"{hh} No."},
    ]
    dataset = import_dataset("pairs", lines(tmp_path / "p.jsonl", *rows), kind="preference", user=rex)
    found = all_rows(dataset)
    assert len(found) == 4
    for row in found:
        assert (row["prompt"], row["chosen"][0]["content"], row["rejected"][0]["content"]) == (asked, "Yes.", "No.")
        assert row["weight"] == 0.25  # each prompt weighs 1
    assert {row["rater"] for row in found} == {"imported-1", "imported-2"}  # no name, no address


def test_a_transcript_whose_sides_differ_before_the_last_reply_is_told(rex, tmp_path):
    row = {"chosen": "\n\nHuman: A\n\nAssistant: x", "rejected": "\n\nHuman: B\n\nAssistant: y"}
    with pytest.raises(BadLines, match="line 1 has no prompt that chosen and rejected share"):
        import_dataset("p", lines(tmp_path / "p.jsonl", row), kind="preference", user=rex)


def test_parquet_is_read_and_what_only_says_so_is_refused(rex, tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "source": ["x", "y"]}), tmp_path / "c.parquet")
    dataset = import_dataset("c", tmp_path / "c.parquet", kind="corpus", user=rex)
    assert {(row["text"], row["source"]) for row in all_rows(dataset)} == {("a", "x"), ("b", "y")}
    (tmp_path / "no.parquet").write_text("PAR1")
    with pytest.raises(BadFile, match="no readable Parquet"):
        import_dataset("no", tmp_path / "no.parquet", kind="corpus", user=rex)


def test_hostile_lines_are_told_and_not_swallowed(rex, tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_bytes(b'{"text": "\\ud800"}\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"text": NaN}\n{"text": "ok"}\n')
    with pytest.raises(BadLines) as refused:
        import_dataset("h", path, kind="corpus", user=rex)
    assert [line["line"] for line in refused.value.data["lines"]] == [1, 2, 3, 4]


def test_a_line_without_an_end_is_not_held_in_memory(rex, tmp_path, monkeypatch):
    monkeypatch.setattr("registry.services.lines.MOST_LINE", 1024)
    path = lines(tmp_path / "p.txt", "short", "x" * 5000, "short too")
    with pytest.raises(BadLines) as refused:
        import_dataset("p", path, kind="prompts", user=rex)
    assert [line["line"] for line in refused.value.data["lines"]] == [2]


@pytest.mark.parametrize(("name", "kind"), [("a.csv", "corpus"), ("a.txt", "instructions"), ("a.jsonl", "completions")])
def test_files_of_other_kinds_are_refused(rex, tmp_path, name, kind):
    with pytest.raises(BadFile):
        import_dataset("a", lines(tmp_path / name, "{}"), kind=kind, user=rex)


def test_real_hh_transcripts_are_read(rex, tmp_path, data):
    """Its warts (sides that differ early, empty transcripts) are told by line; what is left is imported."""
    with gzip.open(data / "hh_harmless" / "pairs.jsonl.gz", "rt", encoding="utf-8") as file:
        kept = file.read().split("\n")[:-1]
    try:
        dataset = import_dataset("hh", lines(tmp_path / "hh.jsonl", *kept), kind="preference", user=rex)
    except BadLines as told:
        assert told.data["num_bad"] < 0.05 * len(kept)
        while True:
            bad = {line["line"] - 1 for line in told.data["lines"]}
            kept = [line for i, line in enumerate(kept) if i not in bad]
            try:
                dataset = import_dataset("hh", lines(tmp_path / "hh.jsonl", *kept), kind="preference", user=rex)
                break
            except BadLines as again:
                told = again
    assert dataset.num_rows == len(kept) > 1000
