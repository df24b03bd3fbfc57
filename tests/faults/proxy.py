"""A network that fails: a TCP proxy that cuts, resets, delays and truncates, by lot, one request at a time."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CUT, RESET, TRUNCATED, SLOW = 0.05, 0.05, 0.01, 0.20
LONGEST_DELAY_S = 0.3
NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends RST


@dataclass(slots=True)
class Network:
    """Forwards to `ports` by turns. `did` counts what befell the requests.

    A cut comes after the request has gone through and before its answer: the server has done what the client never hears.
    Fates have a lot of their own: of so many requests, the same many are cut whenever the seed is the same.
    """

    ports: Sequence[int]
    lot: random.Random
    fates: random.Random
    did: Counter[str] = field(default_factory=Counter)
    server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self.server is not None
        return int(self.server.sockets[0].getsockname()[1])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        with suppress(OSError, EOFError, asyncio.CancelledError):
            back, there = await asyncio.open_connection("127.0.0.1", self.lot.choice(self.ports))
            while True:
                request = await message(reader)
                fate = self.fate()
                self.did[fate] += 1
                if fate == "slow":
                    await asyncio.sleep(self.lot.uniform(0.05, LONGEST_DELAY_S))
                if fate == "reset":
                    reset(writer)
                    break
                there.write(request)
                answer = await message(back)
                if fate == "cut":
                    break
                writer.write(answer[: self.lot.randrange(1, len(answer))] if fate == "truncated" else answer)
                await writer.drain()
                if fate == "truncated":
                    break
        for each in (writer, there):
            if each is not None:
                with suppress(OSError):
                    each.close()

    def fate(self) -> str:
        chance = self.fates.random()
        for name, share in (("cut", CUT), ("reset", RESET), ("truncated", TRUNCATED), ("slow", SLOW)):
            if chance < share:
                return name
            chance -= share
        return "through"


async def message(reader: asyncio.StreamReader) -> bytes:
    """One request or answer, whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.split(b":")[1]))
    return head


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)


@asynccontextmanager
async def network(ports: Sequence[int], *, seed: int) -> AsyncIterator[Network]:
    found = Network(ports, random.Random(seed), random.Random(f"fates {seed}"))
    found.server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    try:
        yield found
    finally:
        found.server.close()
