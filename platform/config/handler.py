"""How a request is handled: all of it in one visit to one of a few threads, which keep their database connections."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Handler(ASGIHandler):
    """Django's own, for views and middleware that are all synchronous.

    Django's would go to the thread and back for each step that may be asynchronous, nine times a request, and would open a
    new thread, and so a new connection to the database, for each request.
    """

    def __init__(self, *, threads: int) -> None:
        super().__init__()
        self.threads = threads
        self.idle: asyncio.Queue[ThreadPoolExecutor] | None = None

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.idle is None:  # made here, since a queue belongs to the loop that it is used in
            self.idle = asyncio.Queue()
            for number in range(self.threads):
                self.idle.put_nowait(ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"requests-{number}"))
        thread = await self.idle.get()
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, send)
        finally:
            self.idle.put_nowait(thread)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
