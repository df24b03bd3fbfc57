"""A client over raw HTTP/1.1, which tells an answer that came whole from one that did not: 200 of it cost one core little."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

TIMEOUT_S = 30


class Lost(Exception):
    """No whole answer came: whether the deed was done is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: str
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """One rater's, kept open between requests; after a loss the next request goes to any of `ports`."""

    ports: Sequence[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    lot: Random = field(default_factory=Random)
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`body` is bytes as they are, or anything else as JSON. Raises `Lost`."""
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(sent)}"]
        told = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        lines += [f"{name}: {value}" for name, value in told.items()]
        began = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, head, answer = await self.exchange("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)
        except (OSError, EOFError, ValueError, TimeoutError) as error:  # EOFError: IncompleteReadError is one
            await self.close()
            raise Lost(f"{type(error).__name__}: {error}") from error
        return Answer(status, head, answer, time.perf_counter() - began)

    async def exchange(self, request: bytes) -> tuple[int, str, bytes]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.lot.choice(self.ports))
        reader, writer = self.streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        names = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n"))}
        status = int(head.split(" ", 2)[1])
        if status in (204, 304):
            body = b""
        elif "content-length" in names:
            body = await reader.readexactly(int(names["content-length"]))
        else:
            body = await chunks(reader)
        if names.get("connection", "").lower() == "close":
            await self.close()
        return status, head, body

    async def close(self) -> None:
        if self.streams is not None:
            _, writer = self.streams
            self.streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def chunks(reader: asyncio.StreamReader) -> bytes:
    whole = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        whole += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return whole
