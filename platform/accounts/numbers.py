"""Numbers as the reader's language writes them: which sign parts thousands, and which stands before a fraction."""

from __future__ import annotations

from django.utils.formats import get_format, number_format


def whole(number: int) -> str:
    """`12345` -> "12,345", in German "12.345"."""
    return number_format(number, force_grouping=True)


def digits(number: float, *, form: str = ".4g") -> str:
    """`0.12345` -> "0.1235", in German "0,1235"; `form` is Python's, without a sign for thousands."""
    return f"{number:{form}}".replace(".", str(get_format("DECIMAL_SEPARATOR")))
