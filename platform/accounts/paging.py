"""Pages of a list by cursor: they stay right while rows are added, and no count scans the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts.errors import UserError

Row = TypeVar("Row", bound=Model)

CURSOR = "after"
BETWEEN = "~"  # a value and a key


class BadCursor(UserError):
    code = "bad_cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    items: Sequence[Row]
    size: int
    next_url: str  # empty on the last page
    first_url: str  # empty on the first page


def page_of(rows: QuerySet[Row], request: HttpRequest, *, by: str = "-pk", size: int = 50) -> Page[Row]:
    """The page of `rows` that `request` asks for, ordered by the column `by` ("-created_at", "username") and then by key.

    The filters in the address are kept from page to page. Raises BadCursor for an address that was tampered with.
    """
    column, sign = by.removeprefix("-"), "-" if by.startswith("-") else ""
    rows = rows.order_by(by, f"{sign}pk")
    cursor = request.GET.get(CURSOR, "")
    if cursor:
        rows = rows.filter(_beyond(cursor, rows.model, column=column, direction="lt" if sign else "gt"))
    found = list(rows[: size + 1])
    items = found[:size]
    filters = [(name, value) for name, value in request.GET.items() if name != CURSOR]
    has_more = len(found) > size
    return Page(
        items=items,
        size=size,
        next_url=_address(request, [*filters, (CURSOR, _cursor(items[-1], column))]) if has_more else "",
        first_url=_address(request, filters) if cursor else "",
    )


def _cursor(row: Model, column: str) -> str:
    value = getattr(row, column)
    return f"{value.isoformat() if isinstance(value, datetime) else value}{BETWEEN}{row.pk}"


def _beyond(cursor: str, model: type[Model], *, column: str, direction: str) -> Q:
    """Rows after the one that the cursor names. Those that share its value in the column follow by their key."""
    text, _, key_text = cursor.rpartition(BETWEEN)
    key_field = model._meta.pk
    try:
        if "\x00" in cursor:
            raise ValueError("PostgreSQL has no text with NUL")
        key = key_field.to_python(key_text)
        value = (key_field if column == "pk" else model._meta.get_field(column)).to_python(text)  # type: ignore[union-attr]
    except (ValidationError, ValueError, TypeError) as error:
        raise BadCursor(gettext("This page's address is not whole: start from the first page.")) from error
    return Q(**{f"{column}__{direction}": value}) | Q(**{column: value, f"pk__{direction}": key})


def _address(request: HttpRequest, query: list[tuple[str, Any]]) -> str:
    return f"{request.path}?{urlencode(query)}" if query else request.path
