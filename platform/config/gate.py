"""The gate before the pages: how many requests a process works on at once, how many may wait, and what the rest are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[..., Awaitable[None]]  # (scope, receive, send), which every library types in its own way

FULL = b'{"error": {"code": "busy", "message": "Too many are waiting now. Try again in a moment."}}'
PATIENCE_S = 0.05


class Gate:
    """Lets requests in in the order in which they came: one after the other while they are quick, `at_once` where not.

    Beyond `waiting` more answers 503 at once. Python runs one thread at a time, so requests that share it are no sooner
    done; and whoever holds the database's write lock would hold it for longer, for everybody. A request that takes longer
    than `patience_s` lets the next one in beside it, so that a page of statistics keeps nobody waiting. It gives its place
    on as soon as its answer begins, so that a slow reader of a long download keeps nobody out.
    """

    def __init__(self, app: App, *, at_once: int, waiting: int, patience_s: float = PATIENCE_S) -> None:
        self.app = app
        self.places = asyncio.Semaphore(at_once)
        self.turn = asyncio.Semaphore(1)
        self.waiting = waiting
        self.patience_s = patience_s
        self.num_waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.num_waiting >= self.waiting:
            await refuse(send)
            return
        visit = Visit(self)
        self.num_waiting += 1
        try:
            await visit.begin()
        finally:
            self.num_waiting -= 1

        async def send_and_let_in(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                visit.end()
            await send(message)

        try:
            await self.app(scope, receive, send_and_let_in)
        finally:
            visit.end()


class Visit:
    """One request's place and turn, each given on once."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.has_place = self.has_turn = False

    async def begin(self) -> None:
        """Cancelled while it waits, it leaves nothing taken."""
        try:
            self.has_place = await self.gate.places.acquire()
            self.has_turn = await self.gate.turn.acquire()
        except asyncio.CancelledError:
            self.end()
            raise
        self.timer = asyncio.get_running_loop().call_later(self.gate.patience_s, self.give_turn_on)

    def give_turn_on(self) -> None:
        if self.has_turn:
            self.has_turn = False
            self.gate.turn.release()
            self.timer.cancel()

    def end(self) -> None:
        self.give_turn_on()
        if self.has_place:
            self.has_place = False
            self.gate.places.release()


async def refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": FULL})
