"""The demo's people: one of each role and a second rater, with passwords that are made once and shown once."""

from __future__ import annotations

import secrets

from django.db import transaction

from accounts.models import Role, User
from audit.services import record

PEOPLE = {
    "admin": Role.ADMIN,
    "researcher": Role.RESEARCHER,
    "reviewer": Role.REVIEWER,
    "rater-1": Role.RATER,
    "rater-2": Role.RATER,
}


@transaction.atomic
def make_people() -> dict[str, str]:
    """Makes whoever is missing; the passwords of the new ones by user name. Nothing stores them but their hashes."""
    known = set(User.objects.filter(username__in=PEOPLE).values_list("username", flat=True))
    passwords = {name: secrets.token_urlsafe(12) for name in PEOPLE if name not in known}
    for name, password in passwords.items():
        user = User.objects.create_user(name, password=password, role=PEOPLE[name])
        record("user.created", actor=None, target=user, role=user.role)
    return passwords
