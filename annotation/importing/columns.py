"""Columns of a prompt that a file may have beside the conversation: the one place where they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from annotation.models import Split
from annotation.services.prompts import held_out, kind_of, needs_of, priority_of
from annotation.services.texts import BadLine

LONGEST_ID = 120
OPTIONAL = frozenset(
    {"id", "source", "kind", "language", "skill", "priority", "held_out"}
)  # `source` is for the reader of the file


def optional_columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Prompt` by what the record says in its optional columns; a column that is not there gives none.

    Raises `BadLine` for a value that a column can't have.
    """
    found: dict[str, Any] = {}
    if (name := record.get("id")) not in (None, ""):
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise BadLine(gettext("An id is a text or a whole number."), code="bad_id")
        found["external_id"] = str(name)[:LONGEST_ID]
    if kind := kind_of(record.get("kind") or ""):
        found["kind"] = kind
    found |= {name: value for name, value in needs_of(record).items() if value}
    if (priority := record.get("priority")) is not None:
        found["priority"] = priority_of(priority)
    if held_out(record.get("held_out")):
        found["split"] = Split.TEST
    return found
