"""What text a database can keep, and how a bad line of a file is told."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext

from registry.services.schemas import canonical


class BadLine(ValueError):
    """What is wrong with one line, as a sentence without the line's number; `code` is stable and for programs."""

    def __init__(self, sentence: str, *, code: str = "bad_row") -> None:
        super().__init__(sentence)
        self.code = code


def complaint_about(value: Any) -> str:
    """What of a JSON value can't be stored, in the reader's language; empty where all can.

    PostgreSQL refuses NUL, and half characters are no text.
    """
    try:
        written = canonical(value)
    except UnicodeEncodeError:
        return gettext("half a character (a lone surrogate)")
    except (ValueError, TypeError, RecursionError):
        return gettext("a value that is neither text nor number")
    return gettext("a NUL character") if b"\\u0000" in written else ""
