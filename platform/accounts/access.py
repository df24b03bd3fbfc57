"""Deny by default: a view is reachable only if it says for whom, by `@requires(...)` or `@public`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from accounts.models import Capability, User

if TYPE_CHECKING:  # rest_framework reads settings that name modules which import this one
    from django.http import HttpRequest
    from rest_framework.request import Request

View = TypeVar("View", bound=Callable[..., object])

PUBLIC = "public"


def requires(capability: Capability) -> Callable[[View], View]:
    """Marks a view: anonymous people are sent to log in, others without `capability` get 403 (`middleware.DenyByDefault`)."""

    def mark(view: View) -> View:
        view.required = capability  # type: ignore[attr-defined]
        return view

    return mark


def public(view: View) -> View:
    """Marks a view that anybody may open."""
    view.required = PUBLIC  # type: ignore[attr-defined]
    return view


def signed_in(request: HttpRequest | Request) -> User:
    """Who asks. Nobody else gets as far as a view that requires a capability."""
    assert isinstance(request.user, User)
    return request.user
