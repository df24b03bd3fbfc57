"""Files read row by row: text, JSON lines, arrays of JSON, Parquet; a row that cannot be read is told with its number."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext

from accounts.errors import UserError
from registry.models import DatasetKind
from registry.services import labelled

MOST_LINE = 16 * 2**20  # bytes
READ_AT_ONCE = 2**20  # characters of an array of JSON
SPACE = " \t\r\n"


class BadFile(UserError):
    code = "bad_file"


class BadLine(Exception):
    """What is wrong with one row, in a few words that follow "line 7"."""


def raw_rows(path: Path, *, kind: str) -> Iterator[tuple[int, Any]]:
    match suffix_of(path):
        case ".jsonl":
            return json_lines(path)
        case ".json":
            return json_items(path) if first_sign(path) == "[" else json_lines(path)
        case ".parquet":
            return parquet_rows(path)
        case ".csv" if kind == DatasetKind.LABELLED:
            return table_lines(path)
        case ".txt" if kind in (DatasetKind.CORPUS, DatasetKind.PROMPTS):
            return passages(path) if kind == DatasetKind.CORPUS else prompts_by_line(path)
        case _:
            raise BadFile(
                gettext(
                    "%(name)s is no file of %(kind)s: .jsonl, .json and .parquet are read, .txt as corpus or prompts, "
                    ".csv as labelled."
                )
                % {"name": path.name, "kind": kind}
            )


def table_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, row in labelled.table_rows(path):
        yield number, BadLine(row) if isinstance(row, str) else row


def suffix_of(path: Path) -> str:
    """Of `rows.jsonl.gz`, ".jsonl"; Parquet has a compression of its own."""
    suffix = path.suffix.lower()
    inner = path.with_suffix("").suffix.lower()
    return inner if suffix == ".gz" and inner in (".jsonl", ".json", ".txt") else suffix


def opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def first_sign(path: Path) -> str:
    with opened(path) as file:
        return file.read(4096).decode("utf-8-sig", "ignore").lstrip(SPACE)[:1]


def json_items(path: Path) -> Iterator[tuple[int, Any]]:
    """The items of one long array, each counting as a line. What stands behind a broken one cannot be told apart."""
    decode = json.JSONDecoder().raw_decode
    number, held, place = 0, "", 0
    with opened(path) as raw:
        file = codecs.getreader("utf-8-sig")(raw)
        while True:
            try:
                more = file.read(READ_AT_ONCE)
            except UnicodeDecodeError:
                yield number + 1, BadLine(gettext("is no UTF-8"))
                return
            held, place = held[place:] + more, 0
            if not number and held.lstrip(SPACE).startswith("["):
                held = held.lstrip(SPACE)[1:]
            while (place := skipped(held, place)) < len(held):
                if held[place] == "]":
                    return
                try:
                    item, end = decode(held, place)
                except (ValueError, RecursionError):
                    if more and len(held) - place < MOST_LINE:
                        break  # it may go on behind what was read
                    yield number + 1, BadLine(gettext("is no JSON"))
                    return
                if end == len(held) and more:
                    break
                number, place = number + 1, end
                yield number, item
            if not more:
                yield number + 1, BadLine(gettext("is no JSON"))  # the array does not end
                return


def skipped(held: str, place: int) -> int:
    while place < len(held) and held[place] in ", \t\r\n":
        place += 1
    return place


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in text_lines(path):
        if isinstance(line, BadLine):
            yield number, line
        elif line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, BadLine(gettext("is no JSON"))


def passages(path: Path) -> Iterator[tuple[int, Any]]:
    """Passages are separated by blank lines; a file without a blank line between others holds one a line."""
    by_line = not has_blank_line(path)
    first, held = 0, []
    for number, line in text_lines(path):
        if isinstance(line, BadLine):
            yield number, line
            continue
        if line.strip():
            first = first or number
            held.append(line.rstrip("\r\n"))
        if held and (by_line or not line.strip()):
            yield first, {"text": "\n".join(held)}
            first, held = 0, []
    if held:
        yield first, {"text": "\n".join(held)}


def has_blank_line(path: Path) -> bool:
    blank_met = text_met = False
    for _, line in text_lines(path):
        if isinstance(line, BadLine) or line.strip():
            if blank_met:
                return True
            text_met = True
        else:
            blank_met = text_met
    return False


def prompts_by_line(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in text_lines(path):
        if isinstance(line, BadLine):
            yield number, line
        elif line.strip():
            yield number, {"prompt": line.strip()}


def text_lines(path: Path) -> Iterator[tuple[int, str | BadLine]]:
    """Lines with their numbers; one that is too long or no UTF-8 is a complaint, and never held as a whole."""
    with opened(path) as file:
        number = 0
        while line := next_line(file, path):
            number += 1
            if len(line) == MOST_LINE and not line.endswith(b"\n"):
                while (rest := file.readline(MOST_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield number, BadLine(gettext("is longer than %(most)s MiB") % {"most": MOST_LINE // 2**20})
                continue
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield number, BadLine(gettext("is no UTF-8"))


def next_line(file: IO[bytes], path: Path) -> bytes:
    try:
        return file.readline(MOST_LINE)
    except (EOFError, OSError, zlib.error) as error:
        raise BadFile(gettext("%(name)s cannot be read to its end.") % {"name": path.name}) from error


def parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Rows count as lines. Columns of types that a library defines are refused: reading them would run its code."""
    number = 0
    try:
        # Buffered: a group of rows, which may be as large as the file, is not read as a whole.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            if any(isinstance(column.type, pa.BaseExtensionType) for column in file.schema_arrow):
                raise BadFile(
                    gettext("%(name)s has a column of a type that is not Parquet's own.") % {"name": path.name}
                )
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise BadFile(gettext("%(name)s is no readable Parquet file.") % {"name": path.name}) from error
