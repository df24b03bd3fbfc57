"""Files that are torn, too large, or made to break a reader: each is one clear sentence with a code, and nothing is kept."""

from __future__ import annotations

import gzip
import resource
import tracemalloc
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accounts.errors import UserError
from annotation.importing import opening, tables
from annotation.importing.bringing import bring, dry_run
from annotation.models import Campaign, Prompt
from tests.annotation.importing.files import a_draft, a_table, lines, listed, told

pytestmark = pytest.mark.django_db

GOOD = b'{"prompt": "Why?"}\n'


def refusal(path, **fields) -> str:
    """The code of a file's refusal; a sentence comes with it, and nothing is kept."""
    campaign = a_draft()
    with pytest.raises(UserError) as error:
        bring(path, campaign=campaign, user=None, **fields)
    assert error.value.sentence.endswith(".")
    assert "Traceback" not in error.value.sentence
    assert not Prompt.objects.exists()
    return error.value.code


def test_a_bomb_is_refused_and_never_held(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "LARGEST_UNPACKED", 32 * 2**20)
    path = tmp_path / "p.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(GOOD)
        for _ in range(64):
            file.write(b" " * 2**20)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    assert refusal(path) == "file_too_large"
    assert tracemalloc.get_traced_memory()[1] < 48 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("keep", [10, 60])
def test_a_torn_gzip_is_told(tmp_path, keep):
    whole = gzip.compress(GOOD * 20)
    (tmp_path / "p.jsonl.gz").write_bytes(whole[: len(whole) - keep])
    assert refusal(tmp_path / "p.jsonl.gz") == "torn_file"


def test_a_gzip_with_a_wrong_sum_is_told(tmp_path):
    whole = bytearray(gzip.compress(GOOD * 20))
    whole[-6] ^= 0xFF
    (tmp_path / "p.jsonl.gz").write_bytes(bytes(whole))
    assert refusal(tmp_path / "p.jsonl.gz") == "torn_file"


def test_an_archive_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.jsonl", "w") as archive:
        archive.writestr("p.jsonl", GOOD)
    assert refusal(tmp_path / "p.jsonl") == "archive"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("p.jsonl", b"", "no_rows"),
        ("p.jsonl", b"\n\n  \n", "no_rows"),
        ("p.csv", b"prompt\n", "no_rows"),
        ("p.csv", b'prompt\n"half', "torn_file"),
        ("p.csv", b"prompt,prompt\na,b\n", "bad_header"),
        ("p.csv", b"prompt\na\x00b\n", "bad_lines"),
        ("p.csv", ",".join(f"c{n}" for n in range(300)).encode() + b"\n", "too_many_columns"),
        ("p.json", b'[{"prompt": "Why?"}', "torn_file"),
        ("p.json", b'[{"prompt": "Why?"}] and more', "not_json"),
        ("p.json", b'[{"prompt": "Why?"} {"prompt": "How?"}]', "not_json"),
        ("p.json", b"[" * 200_000, "too_deep"),
        ("p.json", b'[{"prompt": "\xff"}]', "not_utf8"),
        ("p.jsonl", '{"prompt": "Why?"}'.encode("utf-16"), "not_utf8"),
        ("p.dat", b"what is this", "unknown_format"),
        ("p.jsonl", b'{"score": 1}\n', "unknown_format"),
        ("p.parquet", b"PAR1" + b"\x00" * 50, "torn_file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_sentence_with_a_code(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name) == code


def test_a_file_that_is_not_there_is_told(tmp_path):
    assert refusal(tmp_path / "p.jsonl") == "no_file"


def test_an_unknown_format_is_told(tmp_path):
    assert refusal(lines(tmp_path / "p.jsonl", {"prompt": "Why?"}), format="xml") == "unknown_format"


def test_a_larger_file_than_may_be_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "LARGEST_FILE", 10)
    assert refusal(lines(tmp_path / "p.jsonl", {"prompt": "Why?"})) == "file_too_large"


def test_an_endless_line_is_told_and_the_next_ones_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "LARGEST_LINE", 1000)
    path = lines(tmp_path / "p.jsonl", {"prompt": "Good?"}, {"prompt": "x" * 5000}, "{half")
    assert told(path) == [(2, "line_too_long"), (3, "not_json")]


def test_more_rows_than_may_be_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("annotation.importing.reading.MOST_ROWS", 3)
    assert refusal(lines(tmp_path / "p.jsonl", *({"prompt": f"{n}?"} for n in range(5)))) == "too_many_rows"


def test_rows_of_a_csv_with_other_cells_than_the_header_are_told(tmp_path):
    (tmp_path / "p.csv").write_text("prompt,id\nWhy?,1\nHow?\nWhen?,2,3\n")
    assert told(tmp_path / "p.csv") == [(3, "ragged_row"), (4, "ragged_row")]


def test_a_parquet_that_claims_too_much_is_refused_by_its_footer(tmp_path, monkeypatch):
    path = a_table(tmp_path / "p.parquet", [{"prompt": f"Question {n}?"} for n in range(100)])
    monkeypatch.setattr(tables, "MOST_ROWS", 99)
    assert refusal(path) == "too_many_rows"
    monkeypatch.setattr(tables, "MOST_ROWS", 1000)
    monkeypatch.setattr(tables, "LARGEST_COLUMN", 100)
    assert "unpacks to more" in _sentence(path)


def _sentence(path) -> str:
    with pytest.raises(UserError) as error:
        dry_run(path, campaign=Campaign(name="Nobody's"))
    return error.value.sentence


def test_a_parquet_of_one_text_repeated_without_end_is_stopped(tmp_path, monkeypatch):
    text = pa.array(["x" * 100_000] * 400).dictionary_encode()
    pq.write_table(pa.table({"prompt": text}), tmp_path / "p.parquet", compression="zstd")
    assert (tmp_path / "p.parquet").stat().st_size < 200_000  # and 40 MB when it is read
    monkeypatch.setattr(tables, "LARGEST_UNPACKED", 20 * 2**20)
    assert refusal(tmp_path / "p.parquet") == "file_too_large"


def test_a_torn_parquet_is_told(tmp_path):
    path = a_table(tmp_path / "p.parquet", [{"prompt": f"Question {n}?"} for n in range(100)])
    path.write_bytes(path.read_bytes()[:-20])
    assert refusal(path) == "torn_file"


def test_a_column_of_a_librarys_own_type_is_refused(tmp_path):
    class Own(pa.ExtensionType):
        def __init__(self) -> None:
            super().__init__(pa.string(), "tests.own")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage, serialized):
            return cls()

    pa.register_extension_type(Own())
    try:
        column = pa.ExtensionArray.from_storage(Own(), pa.array(["Why?"]))
        pq.write_table(pa.table({"prompt": column}), tmp_path / "p.parquet")
        assert refusal(tmp_path / "p.parquet") == "bad_column"
    finally:
        pa.unregister_extension_type("tests.own")


def test_a_long_item_of_a_list_ends_the_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("annotation.importing.json_files.LARGEST_LINE", 1000)
    assert refusal(listed(tmp_path / "p.json", {"prompt": "Why?"}, {"prompt": "x" * 400_000})) == "not_json"


@pytest.mark.slow
def test_fifty_thousand_rows_stay_within_bounds(tmp_path):
    """Memory that grows with the number of rows is hashes and ids; texts are let go batch by batch."""
    path = tmp_path / "p.jsonl"
    with path.open("w") as file:
        for n in range(50_000):
            file.write(f'{{"prompt": "Question {n}? {"word " * 200}", "completion": "Answer {n}. {"word " * 200}"}}\n')
    assert path.stat().st_size > 90 * 2**20
    campaign = a_draft()
    before = most_memory()
    report = dry_run(path, campaign=campaign)
    assert (report.counts.prompts, report.counts.completions) == (50_000, 50_000)
    assert most_memory() - before < 64


def most_memory() -> int:
    """The most that this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
