"""How this app, which knows no other, tells what was done with accounts: `audit` listens and writes it down."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.dispatch import Signal

from accounts.models import User

deed = Signal()  # sender User; action, actor, target, data


def tell(action: str, *, actor: User | None, target: models.Model | None, **data: Any) -> None:
    """Tells one deed, inside the caller's transaction: if it can't be written down, it isn't done."""
    deed.send(sender=User, action=action, actor=actor, target=target, data=data)
