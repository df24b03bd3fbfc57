"""Hints: "something about X changed", sent to open pages over websockets, which then fetch the truth over HTTP."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

VERSION = 1
TICK_S = 0.05  # for how long a server gathers hints: many about one topic become one
logger = logging.getLogger(__name__)


def hint(topic: str) -> None:
    """Tells the pages that follow `topic` ("run:<id>", "campaign:<id>", "runs") to look again, once this commits.

    A hint may be lost: pages look by themselves every 30 s. So a broken channel layer is logged, and nobody's work fails.
    """
    transaction.on_commit(lambda: messenger.take(topic), robust=True)


class Messenger:
    """Sends hints at once where a command or a worker gives them, and from the server's own loop where a request does.

    A request that waited for the loop to send would wait for good when the server is told to end: a loop that has
    stopped sends nothing any more, and the server waits for its requests.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.waiting: set[str] = set()
        self.sending: set[asyncio.Task[None]] = set()  # a loop alone would not keep them

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on `loop`, which this process serves requests from, sends what is taken."""
        self.loop = loop

    def take(self, topic: str) -> None:
        if self.loop is None:
            async_to_sync(send_hint)(topic)
        else:
            # In a context of its own: the request's ends before the hint is sent.
            self.loop.call_soon_threadsafe(self.gather, topic, context=Context())

    def gather(self, topic: str) -> None:
        if self.loop is not None and not self.waiting:
            self.loop.call_later(TICK_S, self.send)
        self.waiting.add(topic)

    def send(self) -> None:
        topics, self.waiting = self.waiting, set()
        for topic in sorted(topics):
            task = asyncio.ensure_future(send_hint(topic))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)


messenger = Messenger()


async def send_hint(topic: str) -> None:
    layer = get_channel_layer()
    assert layer is not None  # settings name one
    try:
        await layer.group_send(group_of(topic), {"type": "hint", "v": VERSION, "topic": topic})
    except Exception:
        logger.warning("A hint about %s was not sent", topic, exc_info=True)


def group_of(topic: str) -> str:
    """A topic as the name of a channel group: these have no colon."""
    return "hints." + topic.replace(":", ".")
