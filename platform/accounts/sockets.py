"""The websocket of hints: it says that something changed and never what, so that a page asks over HTTP as ever."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import parse_qs

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.urls import URLPattern, path

from accounts.hints import group_of
from accounts.models import Capability, User
from accounts.topics import may_follow

REFUSED = 4403
MAX_TOPICS = 20
TOPIC = re.compile(r"[a-z_]{1,32}(:[A-Za-z0-9_-]{1,60})?")  # what a channel group's name can hold
TRUSTED_S = 5.0  # for how long one answer to "may she follow this?" is believed


class HintsConsumer(AsyncJsonWebsocketConsumer):
    """`/ws/hints/?topics=run:<id>,campaigns`: sends {"v": 1, "topic": ...}; says nothing else and takes no orders.

    Whoever may not follow one of the topics is refused; whoever loses the right, the role or the session is cut off.
    """

    topics: tuple[str, ...] = ()
    checked_at = 0.0

    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        asked = [topic for given in query.get("topics", []) for topic in given.split(",") if topic]
        is_well_formed = 0 < len(asked) <= MAX_TOPICS and all(TOPIC.fullmatch(topic) for topic in asked)
        self.topics = tuple(dict.fromkeys(asked)) if is_well_formed else ()
        if not self.topics or not await self.is_still_welcome():
            await self.close(code=REFUSED)
            return
        for topic in self.topics:
            await self.channel_layer.group_add(group_of(topic), self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        for topic in self.topics:
            await self.channel_layer.group_discard(group_of(topic), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        await self.close(code=REFUSED)

    async def hint(self, event: dict[str, Any]) -> None:
        if await self.is_still_welcome():
            await self.send_json({"v": event["v"], "topic": event["topic"]})
        else:
            await self.close(code=REFUSED)

    async def is_still_welcome(self) -> bool:
        if time.monotonic() - self.checked_at < TRUSTED_S:
            return True
        user = await get_user(self.scope)  # afresh: checks the password's hash in the session too
        if not isinstance(user, User) or not await database_sync_to_async(self.may_follow_all)(user):
            return False
        self.checked_at = time.monotonic()
        return True

    def may_follow_all(self, user: User) -> bool:
        session = self.scope["session"]
        return (
            bool(session.session_key and session.exists(session.session_key))
            and user.can(Capability.SIGN_IN)
            and all(may_follow(user, topic) for topic in self.topics)
        )


routes: list[URLPattern] = [path("ws/hints/", HintsConsumer.as_asgi())]  # type: ignore[arg-type]  # channels routes so
