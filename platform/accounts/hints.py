"""Hints: "something about X changed", sent to open pages over websockets, which then fetch the truth over HTTP."""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

VERSION = 1
logger = logging.getLogger(__name__)


def hint(topic: str) -> None:
    """Tells the pages that follow `topic` ("run:<id>", "campaign:<id>", "runs") to look again, once this commits.

    A hint may be lost: pages look by themselves every 30 s. So a broken channel layer is logged, and nobody's work fails.
    """
    transaction.on_commit(lambda: send_hint(topic), robust=True)


def send_hint(topic: str) -> None:
    layer = get_channel_layer()
    assert layer is not None  # settings name one
    try:
        async_to_sync(layer.group_send)(group_of(topic), {"type": "hint", "v": VERSION, "topic": topic})
    except Exception:
        logger.warning("A hint about %s was not sent", topic, exc_info=True)


def group_of(topic: str) -> str:
    """A topic as the name of a channel group: these have no colon."""
    return "hints." + topic.replace(":", ".")
