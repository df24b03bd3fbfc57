"""Opening files that people bring: bounded in size, unpacked within bounds, decoded line by line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from django.utils.translation import gettext

from accounts.errors import NotFound
from annotation.importing.complaints import BadFile
from annotation.services.texts import BadLine

LARGEST_FILE = 256 * 2**20  # bytes, as it is brought
LARGEST_UNPACKED = 2**30  # bytes, of a .gz
LARGEST_LINE = 8 * 2**20  # bytes of a line, or of one item of a JSON list: a whole Open-Assistant tree fits
MOST_ROWS = 500_000
GZIP, PARQUET, ZIP, ZSTD = b"\x1f\x8b", b"PAR1", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"
HEAD = 4096


class Reads(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...

    def readline(self, size: int = -1, /) -> bytes: ...


class Bounded:
    """A file that gives `LARGEST_UNPACKED` bytes and no more, whatever it unpacks to."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.left = LARGEST_UNPACKED

    def counted(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.left < 0:
            sentence = gettext("The file unpacks to more than %(most)s MiB.")
            raise BadFile(sentence % {"most": LARGEST_UNPACKED // 2**20}, code="file_too_large")
        return data

    def read(self, size: int = -1) -> bytes:
        return self.counted(self.file.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self.counted(self.file.readline(size))


def check_file(path: Path) -> bytes:
    """The first bytes of a file that may be read. Raises `NotFound`, `BadFile`."""
    if not path.is_file():
        raise NotFound(gettext("There is no file %(name)s.") % {"name": path.name}, code="no_file")
    if path.stat().st_size > LARGEST_FILE:
        raise too_large(status=400)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith((ZIP, ZSTD)):
        raise BadFile(gettext("This is an archive. Unpack it, or pack the one file with gzip."), code="archive")
    return head


def too_large(*, status: int) -> BadFile:
    sentence = gettext("A file has at most %(most)s MiB.")
    return BadFile(sentence % {"most": LARGEST_FILE // 2**20}, code="file_too_large", status=status)


@contextmanager
def unpacked(path: Path) -> Iterator[Reads]:
    """The bytes of a file, out of gzip where it is packed. Raises `BadFile` for a torn one, or one that unpacks to too much."""
    is_packed = check_file(path).startswith(GZIP)
    with path.open("rb") as raw:
        try:
            if is_packed:
                with gzip.GzipFile(fileobj=raw) as file:
                    yield Bounded(file)  # type: ignore[arg-type]  # a GzipFile reads as bytes do
            else:
                yield raw
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadFile(gettext("The packed file is torn: bring it again, whole."), code="torn_file") from error


def head_of(path: Path) -> str:
    """The first characters, unpacked, without a byte order mark and blanks."""
    with unpacked(path) as file:
        head = file.read(HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadFile(gettext("This is UTF-16. Save it as UTF-8."), code="not_utf8")
    return head.decode("utf-8-sig", errors="replace").lstrip()


def lines_of(file: Reads, *, with_blank: bool = False) -> Iterator[tuple[int, str | BadLine]]:
    """Lines, decoded, with their numbers from 1; one that is too long is told and never held whole."""
    number = 0
    while raw := file.readline(LARGEST_LINE + 1):
        number += 1
        if len(raw) > LARGEST_LINE:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(LARGEST_LINE)
            sentence = gettext("This is longer than %(most)s MiB.")
            yield number, BadLine(sentence % {"most": LARGEST_LINE // 2**20}, code="line_too_long")
            continue
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            yield number, BadLine(gettext("This is not UTF-8."), code="not_utf8")
            continue
        if with_blank or text.strip():
            yield number, text
