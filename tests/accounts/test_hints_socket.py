"""The websocket of hints: for whom, about what, and cut off with the right to it."""

from __future__ import annotations

from importlib import import_module

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings

from accounts import services, topics
from accounts.hints import group_of
from accounts.models import Capability, Role
from accounts.sockets import MAX_TOPICS, routes
from tests.accounts.people import client_of, person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


@pytest.fixture(autouse=True)
def in_memory(settings, monkeypatch):
    """A layer in memory, and two topics: one for whoever studies, one for a rater of campaign 7."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    monkeypatch.setattr(topics, "_rules", {})
    topics.topic("runs")(lambda user, identifier: user.can(Capability.STUDY))
    topics.topic("campaign")(lambda user, identifier: user.can(Capability.RANK) and identifier == "7")


def socket(asked: str, *, client=None) -> WebsocketCommunicator:
    cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value if client else ""
    headers = [(b"cookie", f"{django_settings.SESSION_COOKIE_NAME}={cookie}".encode())]
    return WebsocketCommunicator(AuthMiddlewareStack(URLRouter(routes)), f"/ws/hints/?topics={asked}", headers=headers)


async def browser(role: str):
    user = await sync_to_async(person)(role)
    return user, await sync_to_async(client_of)(user)


async def say(topic: str) -> None:
    await get_channel_layer().group_send(group_of(topic), {"type": "hint", "v": 1, "topic": topic})


async def test_a_follower_hears_that_something_changed_and_not_what():
    _, client = await browser(Role.RESEARCHER)
    page = socket("runs", client=client)
    assert (await page.connect())[0]
    await say("runs")
    assert await page.receive_json_from() == {"v": 1, "topic": "runs"}
    await page.disconnect()


@pytest.mark.parametrize(
    "asked",
    ["", "runs,secrets", "unknown", "campaign:8", "runs,campaign:8", "campaign:7%0d%0a", "campaign:" + "7" * 70],
)
async def test_what_one_may_not_follow_is_refused_as_a_whole(asked):
    _, client = await browser(Role.RATER)
    assert await socket(asked, client=client).connect() == (False, 4403)


async def test_a_rater_follows_her_campaign():
    _, client = await browser(Role.RATER)
    page = socket("campaign:7", client=client)
    assert (await page.connect())[0]
    await page.disconnect()


async def test_nobody_follows_without_a_session():
    assert await socket("runs").connect() == (False, 4403)


@pytest.mark.parametrize("loss", ["role", "account", "session", "password"])
async def test_a_follower_who_loses_her_right_is_cut_off_and_told_nothing(loss, monkeypatch):
    monkeypatch.setattr("accounts.sockets.TRUSTED_S", 0)
    user, client = await browser(Role.RESEARCHER)
    page = socket("runs", client=client)
    assert (await page.connect())[0]
    key = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    losses = {
        "role": lambda: services.change_role(user, to=Role.RATER, by=None),
        "account": lambda: services.set_active(user, to=False, by=None),
        "session": lambda: import_module(django_settings.SESSION_ENGINE).SessionStore(key).delete(),
        "password": lambda: services.reset_password(user, by=None),
    }
    await sync_to_async(losses[loss])()
    await say("runs")
    assert await page.receive_output() == {"type": "websocket.close", "code": 4403}


async def test_a_page_that_speaks_is_cut_off():
    _, client = await browser(Role.RESEARCHER)
    page = socket("runs", client=client)
    await page.connect()
    await page.send_to(text_data="x" * 100_000)
    assert (await page.receive_output())["type"] == "websocket.close"


async def test_too_many_topics_are_refused():
    _, client = await browser(Role.RATER)
    asked = ",".join(f"campaign:{number}" for number in range(MAX_TOPICS + 1))
    assert await socket(asked, client=client).connect() == (False, 4403)
