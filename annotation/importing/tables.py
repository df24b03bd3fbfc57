"""Records of tables: CSV by its header, Parquet by its columns, both row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext

from accounts.numbers import whole
from annotation.importing.complaints import BadFile
from annotation.importing.json_files import value_of
from annotation.importing.opening import LARGEST_UNPACKED, MOST_ROWS, Reads, lines_of
from annotation.services.texts import BadLine

LARGEST_FIELD = 2**20  # characters
MOST_COLUMNS = 200
LARGEST_FOOTER = 16 * 2**20  # bytes
LARGEST_COLUMN = 512 * 2**20  # bytes of one column of one row group, unpacked
BATCH = 64


def csv_rows(file: Reads) -> Iterator[tuple[int, Any]]:
    """Rows as objects by the names of the header, numbered by the line on which they end; JSON in a cell is read as such."""
    bad: list[BadLine] = []

    def lines() -> Iterator[str]:
        for _, line in lines_of(file, with_blank=True):
            if isinstance(line, BadLine):
                bad.append(line)
                return
            yield line

    csv.field_size_limit(LARGEST_FIELD)  # of the whole process; nothing else here reads CSV
    source = lines()
    first = next(source, "")
    rows = csv.reader(_with(first, source), delimiter=delimiter_of(first), strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        check_header(names)
        for row in filter(None, rows):
            if len(row) != len(names):
                sentence = gettext("There are %(num)s cells in this row and %(wanted)s in the header.")
                yield rows.line_num, BadLine(sentence % {"num": len(row), "wanted": len(names)}, code="ragged_row")
                continue
            yield rows.line_num, {name: cell_of(cell) for name, cell in zip(names, row, strict=True) if cell}
    except csv.Error as error:
        raise unreadable(rows.line_num + 1, error) from error
    if bad:
        told = {"number": rows.line_num + 1, "error": bad[0]}
        raise BadFile(gettext("Line %(number)s: %(error)s") % told, code=bad[0].code)


def unreadable(number: int, error: csv.Error) -> BadFile:
    if "end of data" in str(error):
        sentence = gettext("Line %(number)s can't be read as CSV: a quotation has no end.")
        return BadFile(sentence % {"number": number}, code="torn_file")
    sentence = gettext("Line %(number)s can't be read as CSV: %(error)s.")
    return BadFile(sentence % {"number": number, "error": error}, code="bad_csv")


def _with(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def delimiter_of(header: str) -> str:
    return max(",;\t", key=header.count)


def check_header(names: list[str]) -> None:
    if not any(names):
        raise BadFile(gettext("The file has no row."), code="no_rows")
    if len(names) > MOST_COLUMNS:
        raise too_wide()
    if twice := sorted({name for name in names if names.count(name) > 1}):
        name = twice[0][:40]
        sentence = (
            gettext("Two columns are called %(name)s.") % {"name": name}
            if name
            else gettext("Two columns are called nothing.")
        )
        raise BadFile(sentence, code="bad_header")


def cell_of(cell: str) -> Any:
    """Lists and objects of JSON, as tables of conversations have them; any other cell is text."""
    if cell.lstrip()[:2] in ("[{", '["', "[[", '{"'):
        value = value_of(cell)
        return cell if isinstance(value, BadLine) else value
    return cell


def parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Columns of types that a library defines are refused: reading them would run its code."""
    number = left = 0
    try:
        with pq.ParquetFile(
            path, thrift_string_size_limit=LARGEST_FOOTER, thrift_container_size_limit=10**6, pre_buffer=False
        ) as file:
            check_parquet(file)
            left = LARGEST_UNPACKED
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    left -= size_of(row)  # not of the batch, which may hold one text for all of its rows
                    if left < 0:
                        raise too_large()
                    yield number, without_nulls(row)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadFile(
            gettext("This is no readable Parquet file: it is torn, or of a kind unknown here."), code="torn_file"
        ) from error


def check_parquet(file: pq.ParquetFile) -> None:
    """By what the footer says, before anything is unpacked."""
    about = file.metadata
    if any(isinstance(column.type, pa.BaseExtensionType) for column in file.schema_arrow):
        raise BadFile(gettext("A column has a type that is not Parquet's own."), code="bad_column")
    if about.num_columns > MOST_COLUMNS:
        raise too_wide()
    if about.num_rows > MOST_ROWS:
        raise too_long()
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    sizes = [group.column(i).total_uncompressed_size for group in groups for i in range(group.num_columns)]
    if sum(sizes) > LARGEST_UNPACKED or max(sizes, default=0) > LARGEST_COLUMN:
        raise too_large()


def too_large() -> BadFile:
    sentence = gettext("The table unpacks to more than %(most)s MiB.")
    return BadFile(sentence % {"most": LARGEST_UNPACKED // 2**20}, code="file_too_large")


def too_wide() -> BadFile:
    return BadFile(gettext("A table has at most %(most)s columns.") % {"most": MOST_COLUMNS}, code="too_many_columns")


def too_long() -> BadFile:
    return BadFile(gettext("A file has at most %(most)s rows.") % {"most": whole(MOST_ROWS)}, code="too_many_rows")


def size_of(value: Any) -> int:
    """About how many bytes it takes."""
    if isinstance(value, dict):
        return sum(map(size_of, value.values())) + 8
    return sum(map(size_of, value)) + 8 if isinstance(value, list) else len(value) if isinstance(value, str) else 8


def without_nulls(value: Any) -> Any:
    """Nulls are cells that say nothing; Parquet has no other way to leave one out."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def plain_lines(file: Reads) -> Iterator[tuple[int, Any]]:
    """One prompt a line."""
    for number, line in lines_of(file):
        yield number, line if isinstance(line, BadLine) else {"prompt": line.strip()}
