"""Zip archives made while they are sent, of the same bytes for the same files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry: when a file was exported is not part of it


class Spill(io.RawIOBase):
    """A file that is only written to; what was written is taken out again, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._held += piece
        return len(piece)

    def tell(self) -> int:
        return self._taken + len(self._held)

    def take(self) -> bytes:
        piece = bytes(self._held)
        self._taken += len(piece)
        self._held.clear()
        return piece


def zipped(files: Iterable[tuple[str, Iterator[bytes]]]) -> Iterator[bytes]:
    spill = Spill()
    with zipfile.ZipFile(spill, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, chunks in files:
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.compress_type = zipfile.ZIP_STORED if path.endswith(".parquet") else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as target:  # how large it gets is not known yet
                for chunk in chunks:
                    target.write(chunk)
                    yield spill.take()
    yield spill.take()


def next_of(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


class ZipDownload(StreamingHttpResponse):
    """Sends the pieces as they are made. Under ASGI, Django would first make a list of all of them."""

    def __init__(self, pieces: Iterator[bytes], *, filename: str) -> None:
        super().__init__(pieces, content_type="application/zip")
        self.headers["Content-Disposition"] = content_disposition_header(True, filename) or "attachment"
        self.headers["Cache-Control"] = "no-store"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self)
        while (piece := await sync_to_async(next_of)(pieces)) is not None:
            yield piece
