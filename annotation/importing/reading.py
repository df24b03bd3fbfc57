"""Files into rows: which container, which format, and every record checked by the same rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from annotation.attributes import Attribute
from annotation.importing import tables
from annotation.importing.argilla import Argilla
from annotation.importing.checking import Row, row_of
from annotation.importing.complaints import BadFile
from annotation.importing.conversations import Conversations
from annotation.importing.drafts import Reader
from annotation.importing.json_files import json_items, json_lines
from annotation.importing.label_studio import LabelStudio
from annotation.importing.native import Native
from annotation.importing.open_assistant import OpenAssistant
from annotation.importing.opening import MOST_ROWS, PARQUET, check_file, head_of, unpacked
from annotation.importing.pairs import Pairs
from annotation.importing.units import ITEM, LINE, ROW
from annotation.services.texts import BadLine

# In the order in which a file is asked whether it is one: the more a format asks of a record, the sooner.
READERS: tuple[type[Reader], ...] = (LabelStudio, Argilla, OpenAssistant, Native, Pairs, Conversations)
BY_NAME = {reader.name: reader for reader in READERS}
CHOICES: list[tuple[str, str | Promise]] = [
    ("", gettext_lazy("Find out")),
    *((reader.name, reader.label) for reader in reversed(READERS)),
]
LOOKED_AT = 20  # records from which a format is told

Numbered = tuple[int, Row | BadLine]


def label_of(format: str) -> str:
    return str(BY_NAME[format].label)


@dataclass(frozen=True, slots=True)
class Source:
    """An open file: `unit` is what its numbers count; `reader` has what is to be noted, once all is read."""

    unit: str
    reader: Reader
    rows: Iterator[Numbered]


@contextmanager
def opened(path: Path, *, format: str = "", attributes: Sequence[Attribute] = ()) -> Iterator[Source]:
    """The rows of a file, read as they are asked for. Raises `NotFound`, `BadFile`, then and while they are read."""
    if format and format not in BY_NAME:
        sentence = gettext("There is no format %(name)s; there are %(known)s.")
        raise BadFile(sentence % {"name": format, "known": ", ".join(BY_NAME)}, code="unknown_format")
    if check_file(path).startswith(PARQUET):
        yield source(ROW, tables.parquet_rows(path), format=format, attributes=attributes)
        return
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    head = head_of(path)
    if not head:
        raise BadFile(gettext("The file is empty."), code="no_rows")
    with unpacked(path) as file:
        if ending in ("csv", "tsv"):
            yield source(LINE, tables.csv_rows(file), format=format, attributes=attributes)
        elif ending == "txt":
            yield source(LINE, tables.plain_lines(file), format=format, attributes=attributes)
        elif head.startswith("[") and ending == "json":
            yield source(ITEM, json_items(file), format=format, attributes=attributes)
        elif head.startswith("{") or ending in ("json", "jsonl", "ndjson"):
            yield source(LINE, json_lines(file), format=format, attributes=attributes)
        else:
            raise BadFile(
                gettext(
                    "This is no file that is read here: JSON lines, a JSON list, CSV, Parquet, or a .txt with one prompt a "
                    "line."
                ),
                code="unknown_format",
            )


def source(unit: str, records: Iterator[tuple[int, Any]], *, format: str, attributes: Sequence[Attribute]) -> Source:
    first = list(islice(records, LOOKED_AT))
    reader = BY_NAME[format]() if format else reader_of(first)
    return Source(unit, reader, rows_of(chain(first, records), reader=reader, attributes=attributes))


def reader_of(records: list[tuple[int, Any]]) -> Reader:
    """The first format that fits any of the records; a file of which none fits is read as prompts, which says what it lacks."""
    good = [record for _, record in records if isinstance(record, Mapping)]
    found = next((reader for reader in READERS if any(map(reader.fits, good))), None)
    if found is None and good:
        names = ", ".join(sorted(map(str, good[0]))[:12])
        sentence = (
            gettext("No known format has rows of %(names)s. Choose the format, or rename the columns.")
            % {"names": names}
            if names
            else gettext("No known format has rows of nothing. Choose the format, or rename the columns.")
        )
        raise BadFile(sentence, code="unknown_format")
    return (found or Conversations)()


def rows_of(
    records: Iterator[tuple[int, Any]], *, reader: Reader, attributes: Sequence[Attribute]
) -> Iterator[Numbered]:
    count = 0
    for number, record in records:
        count += 1
        if count > MOST_ROWS:
            raise tables.too_long()
        if isinstance(record, BadLine):
            yield number, record
            continue
        yield from rows_in(number, record, reader=reader, attributes=attributes)
    if not count:
        raise BadFile(gettext("The file has no row."), code="no_rows")


def rows_in(number: int, record: Any, *, reader: Reader, attributes: Sequence[Attribute]) -> Iterator[Numbered]:
    """A record may make several rows; one that can't be read ends them, a row that is wrong does not."""
    try:
        if not isinstance(record, Mapping):
            raise BadLine(gettext("This is not an object."), code="not_an_object")
        drafts = list(reader.drafts(record))
    except RecursionError:
        yield number, BadLine(gettext("This is nested too deeply."), code="too_deep")
        return
    except BadLine as error:
        yield number, error
        return
    for draft in drafts:
        try:
            yield number, row_of(number, draft, attributes=attributes)
        except BadLine as error:
            yield number, error
