"""Rows of a constitution: one principle each, with the requests, the question and the few-shot examples that runs take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext

REQUESTS = ("critique", "revision", "comparison")
EXAMPLE = ("prompt", "response", "critique", "revision")
TAGS = pa.list_(pa.string())
EXAMPLES = pa.list_(pa.struct([(name, pa.string()) for name in EXAMPLE]))
SCHEMA = pa.schema(
    [
        ("id", pa.string()), *((name, pa.string()) for name in REQUESTS), ("weight", pa.float64()), ("tags", TAGS),
        ("examples", EXAMPLES),
    ]
)  # fmt: skip


def about_tags(value: Any) -> str | None:
    """What is wrong with the tags of a row, in a few words after "the row"."""
    if not isinstance(value, list) or not all(map(is_text, value)):
        return gettext("has no list of words")
    return None


def about_examples(value: Any) -> str | None:
    if not isinstance(value, list):
        return gettext("has no list of examples")
    for example in value:
        if not isinstance(example, Mapping) or set(example) != set(EXAMPLE):
            return gettext("has an example that is not just %(known)s") % {"known": ", ".join(EXAMPLE)}
        if not all(map(is_text, example.values())):
            return gettext("has an example with an empty text")
    return None


def is_text(value: Any) -> bool:
    """More than blanks, and no half characters."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def about_principle(row: Mapping[str, Any]) -> str | None:
    for name in REQUESTS:
        if not row[name].strip():
            return gettext("has an empty %(column)s") % {"column": name}
    return None if row["weight"] > 0 else gettext("has a weight that is not above 0")
