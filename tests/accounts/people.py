"""The people of the tests, named for what they do, and a browser for each."""

from __future__ import annotations

from functools import cache

from django.contrib.auth.hashers import get_hasher, make_password
from django.test import Client

from accounts.models import Role, User

PASSWORD = "a long enough pass phrase"
NAMES = {Role.RATER: "ada", Role.REVIEWER: "rita", Role.RESEARCHER: "rex", Role.ADMIN: "grace"}


def person(role: str, *, name: str = "", is_simulated: bool = False) -> User:
    """An account with PASSWORD; checking it is what takes the time, so log in by `client_of` where the login isn't the point."""
    password = hashed(get_hasher().algorithm)
    return User.objects.create(
        username=name or NAMES[Role(role)], role=role, is_simulated=is_simulated, password=password
    )


@cache
def hashed(algorithm: str) -> str:
    """PASSWORD by the hasher of now: once for all who have it."""
    return make_password(PASSWORD)


def client_of(user: User, **options: bool) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client
