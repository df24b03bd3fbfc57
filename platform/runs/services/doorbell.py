"""The doorbell: a message that says "look at the queue". It may be lost or doubled; the rows are the truth."""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

LOOK = "runs.tasks.look"
QUEUE = "runs"
logger = logging.getLogger(__name__)


def ring() -> None:
    """Rings once this commits. A broker that is away delays a run until the next sweep, and fails nobody's request."""
    transaction.on_commit(_send, robust=True)


def _send() -> None:
    try:
        current_app.send_task(LOOK, queue=QUEUE, retry=False, ignore_result=True)
    except (OperationalError, OSError):
        logger.warning("The broker is away; the next sweep rings again", exc_info=True)
