"""Pages of a list by cursor: they stay right while rows are added, and no count scans the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.errors import UserError

Row = TypeVar("Row", bound=Model)

CURSOR = "after"


class BadCursor(UserError):
    code = "bad_cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    items: Sequence[Row]
    size: int
    next_url: str  # empty on the last page
    first_url: str  # empty on the first page


def page_of(rows: QuerySet[Row], request: HttpRequest, *, by: str = "-pk", size: int = 50) -> Page[Row]:
    """The page of `rows` that `request` asks for, ordered by `by`, a unique column ("-pk", "username").

    The filters in the address are kept from page to page.
    """
    column, descending = by.removeprefix("-"), by.startswith("-")
    rows = rows.order_by(by)
    cursor = request.GET.get(CURSOR, "")
    if cursor:
        try:
            rows = rows.filter(**{f"{column}__{'lt' if descending else 'gt'}": cursor})
        except (ValueError, TypeError) as error:
            raise BadCursor("This page's address is not whole: start from the first page.") from error
    found = list(rows[: size + 1])
    items = found[:size]
    filters = [(name, value) for name, value in request.GET.items() if name != CURSOR]
    return Page(
        items=items,
        size=size,
        next_url=_address(request, [*filters, (CURSOR, getattr(items[-1], column))]) if len(found) > size else "",
        first_url=_address(request, filters) if cursor else "",
    )


def _address(request: HttpRequest, query: list[tuple[str, Any]]) -> str:
    return f"{request.path}?{urlencode(query)}" if query else request.path
