"""Writes down what `accounts` and Django's own login tell: this app knows them, they don't know it."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import models
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.deeds import deed
from accounts.models import User
from audit.services import record


@receiver(deed)
def on_deed(actor: User | None, action: str, target: models.Model | None, data: dict[str, Any], **_: object) -> None:
    record(action, actor=actor, target=target, **data)


@receiver(user_logged_in)
def on_login(user: User, **_: object) -> None:
    record("login", actor=user, target=user)


@receiver(user_logged_out)
def on_logout(user: User | None, **_: object) -> None:
    if user is not None:
        record("logout", actor=user, target=user)


@receiver(user_locked_out)
def on_lock(request: HttpRequest, username: str, ip_address: str, **_: object) -> None:
    """Each single wrong password is in axes' own table; here only that somebody has tried too often."""
    record("login.locked", actor=None, target=None, username=username[:150], ip_address=ip_address)
