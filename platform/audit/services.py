"""The one way to write down a deed, and to check that nobody has changed what was written."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from accounts.models import User
from audit.models import AuditEvent

GENESIS = "0" * 64
LOCK_KEY = 0x5EAD  # of PostgreSQL's advisory locks: one writer at the end of the chain


def record(action: str, *, actor: User | None, target: models.Model | None = None, **data: Any) -> AuditEvent:
    """Appends one event in the caller's transaction: a deed and its trace are saved together or not at all.

    The chain has one end, so writers queue for it until they commit: call this late in a transaction.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        last = AuditEvent.objects.order_by("-pk").first()
        event = AuditEvent(
            at=timezone.now(),
            actor=actor,
            action=action,
            target_type=target._meta.label_lower if target is not None else "",
            target_id=str(target.pk) if target is not None else "",
            data=data,
            previous_hash=last.hash if last else GENESIS,
        )
        event.hash = hash_of(event)
        event.save(force_insert=True)
        return event


def hash_of(event: AuditEvent) -> str:
    """sha256 over the canonical JSON of everything in the row, the hash of the row before included."""
    facts = [
        event.at.isoformat(), event.actor_id, event.action, event.target_type, event.target_id, event.data,
        event.previous_hash,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def first_broken_link() -> AuditEvent | None:
    """The oldest event that does not follow from the one before it; None where the whole chain holds."""
    previous = GENESIS
    for event in AuditEvent.objects.order_by("pk").iterator():
        if event.previous_hash != previous or event.hash != hash_of(event):
            return event
        previous = event.hash
    return None
