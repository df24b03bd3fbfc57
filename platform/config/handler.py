"""How a request is handled: all of it in one visit to one of a few threads, which keep their database connections."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.urls import set_script_prefix

from accounts.hints import messenger


class Handler(ASGIHandler):
    """Django's own, for views and middleware that are all synchronous.

    Django's goes to a thread and back for each step that may be asynchronous, seven times a request, and opens a new thread,
    and so a new connection to the database, for each request.
    """

    def __init__(self, *, threads: int) -> None:
        super().__init__()
        self.threads = threads
        self.idle: asyncio.Queue[ThreadPoolExecutor] | None = None

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        idle = self.threads_of_this_loop()
        thread = await idle.get()
        try:
            await self.answer(scope, body, send, thread=thread)
        finally:
            idle.put_nowait(thread)
            body.close()

    def threads_of_this_loop(self) -> asyncio.Queue[ThreadPoolExecutor]:
        if self.idle is None:  # made with the first request, since a queue belongs to the loop that it is used in
            self.idle = asyncio.Queue()
            messenger.serve(asyncio.get_running_loop())
            for number in range(self.threads):
                self.idle.put_nowait(ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"requests-{number}"))
        return self.idle

    async def answer(self, scope: Any, body: Any, send: Any, *, thread: ThreadPoolExecutor) -> None:
        """A server that ends, or whose client has left, cancels this: what the request has begun is finished first."""
        work = asyncio.get_running_loop().run_in_executor(thread, copy_context().run, self.respond, scope, body)
        try:
            response = await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise
        if not response.streaming:
            await self.send_response(response, send)
            return
        async with ThreadSensitiveContext(executor=thread):  # its parts are made in the same thread
            try:
                await self.send_response(response, send)
            finally:
                thread.submit(response.close)

    def respond(self, scope: Any, body: Any) -> Any:
        """In the thread. What is whole is closed at once: that tells Django that the request is over."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        response: Any
        request, response = self.create_request(scope, body)
        if request is not None:
            response = self.get_response(request)
        response._handler_class = self.__class__  # as `close` wants to know it
        if not response.streaming:
            response.close()
        return response
