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


class Gate:
    """Lets `at_once` requests in, in the order in which they came; beyond `waiting` more answers 503 at once.

    Django gives each request that it works on a thread and a connection of its own, however many there are: two hundred
    on one core wait for each other's locks until they fail. A request gives its place on as soon as its answer begins,
    so that a slow reader of a long download keeps nobody out.
    """

    def __init__(self, app: App, *, at_once: int, waiting: int) -> None:
        self.app = app
        self.places = asyncio.Semaphore(at_once)
        self.waiting = waiting
        self.num_waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.num_waiting >= self.waiting:
            await refuse(send)
            return
        self.num_waiting += 1
        try:
            await self.places.acquire()
        finally:
            self.num_waiting -= 1
        is_held = True

        def let_next_in() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self.places.release()

        async def send_and_let_in(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                let_next_in()
            await send(message)

        try:
            await self.app(scope, receive, send_and_let_in)
        finally:
            let_next_in()


async def refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": FULL})
