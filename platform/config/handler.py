"""How a request is handled: all of it in one visit to one of a few threads, which keep their database connections."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.hints import messenger


class Handler(ASGIHandler):
    """Django's own, for views and middleware that are all synchronous.

    Django's would go to the thread and back for each step that may be asynchronous, nine times a request, and would open a
    new thread, and so a new connection to the database, for each request.
    """

    def __init__(self, *, threads: int) -> None:
        super().__init__()
        self.threads = threads
        self.idle: asyncio.Queue[ThreadPoolExecutor] | None = None
        self.ears: dict[Any, asyncio.Task[Any]] = {}  # by the request's `receive`: who waits for its client to leave

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """A server that ends cancels this; what the request has begun is finished first, as if the client had left.

        Django's handler would be gone at once, and leave a thread at work and two tasks that nobody ends.
        """
        if self.idle is None:  # made here, since a queue belongs to the loop that it is used in
            self.idle = asyncio.Queue()
            messenger.serve(asyncio.get_running_loop())
            for number in range(self.threads):
                self.idle.put_nowait(ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"requests-{number}"))
        thread = await self.idle.get()
        work = asyncio.create_task(self.in_thread(thread, scope, receive, send))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self.ears.get(receive, work).cancel()
            with suppress(asyncio.CancelledError):
                await work
            raise
        finally:
            self.ears.pop(receive, None)
            self.idle.put_nowait(thread)

    async def in_thread(self, thread: ThreadPoolExecutor, scope: Any, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext(executor=thread):
            await self.handle(scope, receive, send)

    async def listen_for_disconnect(self, receive: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.ears[receive] = task
        try:
            await super().listen_for_disconnect(receive)
        except asyncio.CancelledError:
            raise RequestAborted from None

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
