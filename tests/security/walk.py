"""Every address there is, and what each asks for, read from the URL configuration itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter, UUIDConverter

from accounts.access import PUBLIC
from accounts.models import GRANTS, Capability

NOTHING = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Address:
    """One URL pattern. `read` and `write` are what GET and POST ask for: a capability, "public", or None (nobody)."""

    route: str
    path: str  # with names and ids of things that don't exist
    read: str | None
    write: str | None
    is_api: bool

    @property
    def is_public(self) -> bool:
        return self.read == PUBLIC


def addresses() -> list[Address]:
    return sorted(found(get_resolver().url_patterns), key=lambda address: address.route)


def found(patterns: list[Any], *, prefix: str = "") -> Iterator[Address]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from found(pattern.url_patterns, prefix=route)
        else:
            yield address_of(pattern, route=route)


def address_of(pattern: URLPattern, *, route: str) -> Address:
    read, write, is_api = asked_by(pattern.callback)
    path = route
    for name, converter in pattern.pattern.converters.items():
        value = (
            str(NOTHING)
            if isinstance(converter, UUIDConverter)
            else "0"
            if isinstance(converter, IntConverter)
            else "nothing"
        )
        path = path.replace(f"<{kind_of(route, name)}{name}>", value)
    assert "<" not in path, f"{route}: the walk does not know how to fill it"
    return Address(route="/" + route, path="/" + path, read=read, write=write, is_api=is_api)


def kind_of(route: str, name: str) -> str:
    start = route.rfind("<", 0, route.index(f"{name}>"))
    return route[start + 1 : route.index(f"{name}>")]


def asked_by(view: Callable[..., Any]) -> tuple[str | None, str | None, bool]:
    cls = getattr(view, "cls", None)
    if cls is not None and hasattr(cls, "permission_classes"):
        read = getattr(cls, "capability", None)
        return read, getattr(cls, "write_capability", read), True
    required = getattr(view, "required", None)
    return required, required, False


def holders(capability: str | None) -> set[str]:
    """The roles that have it."""
    if capability == PUBLIC:
        return set(GRANTS)
    return {str(role) for role, has in GRANTS.items() if capability is not None and Capability(capability) in has}
