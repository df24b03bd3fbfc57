"""The columns of datasets by kind, what makes a row a good one, and the hashes that name rows, prompts and splits."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext

from registry.models import DatasetKind
from registry.services import labelled, principles
from registry.services.digests import Digests

SPLITS = ("train", "test")
ROLES = ("system", "user", "assistant")
HELD_OUT = 0.1  # of prompts, when a file is split by content

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMAS: dict[str, pa.Schema] = {
    DatasetKind.CORPUS: pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string())]),
    DatasetKind.INSTRUCTIONS: pa.schema([("id", pa.string()), ("messages", MESSAGES)]),
    DatasetKind.LABELLED: labelled.SCHEMA,
    DatasetKind.PROMPTS: pa.schema([("id", pa.string()), ("messages", MESSAGES)]),
    DatasetKind.COMPLETIONS: pa.schema(
        [
            ("id", pa.string()), ("prompt_id", pa.string()), ("index", pa.int32()), ("text", pa.string()),
            ("seed", pa.int64()), ("temperature", pa.float64()), ("top_p", pa.float64()), ("num_tokens", pa.int32()),
            ("ended", pa.bool_()), ("logprob", pa.float64()),
        ]
    ),
    DatasetKind.PREFERENCE: pa.schema(
        [
            ("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES), ("id", pa.string()),
            ("group_id", pa.string()), ("prompt_id", pa.string()), ("ranking_id", pa.string()), ("rater", pa.string()),
            ("margin", pa.float64()), ("weight", pa.float64()), ("simulated", pa.bool_()),
        ]
    ),
    DatasetKind.CONSTITUTION: principles.SCHEMA,
}  # fmt: skip
# Columns that a dataset has where one of its rows says something in them: how sure it is that `chosen` is the better text.
OPTIONAL: dict[str, pa.Schema] = {DatasetKind.PREFERENCE: pa.schema([("label", pa.float64())])}
# What one ranking says of each of its texts. Never empty and without nulls, so that a reader of JSON lines, who guesses
# types split by split, guesses the same of each; `flags` are words, `ratings` is JSON, `better_than` an id or nothing.
TEXTS = pa.list_(
    pa.struct(
        [
            ("id", pa.string()), ("left_out", pa.bool_()), ("flags", pa.string()), ("ratings", pa.string()),
            ("better_than", pa.string()),
        ]
    )
)  # fmt: skip
RANKINGS = pa.schema(
    [
        ("group_id", pa.string()), ("ranking_id", pa.string()), ("prompt", MESSAGES),
        ("completions", pa.list_(pa.struct([("id", pa.string()), ("text", pa.string())]))),
        ("tiers", pa.list_(pa.list_(pa.string()))), ("strengths", pa.list_(pa.int64())), ("rater", pa.string()),
        ("seconds", pa.float64()), ("simulated", pa.bool_()), ("all_bad", pa.bool_()), ("cannot_rank", pa.string()),
        ("texts", TEXTS),
    ]
)  # fmt: skip
# The group that a rater's campaign puts her in; a dataset of a campaign without groups has no such column.
RATER_GROUP = pa.field("rater_group", pa.string())
# Of rankings by a feedback model: marked, with what it said of each pair. A dataset without any has no such columns.
AI = (
    pa.field("ai", pa.bool_()),
    pa.field("labels", pa.list_(pa.struct([
        ("chosen", pa.string()), ("rejected", pa.string()), ("label", pa.float64()), ("principle", pa.string()),
    ]))),
)  # fmt: skip

Row = Mapping[str, Any]


def canonical(value: Any) -> bytes:
    """One way to write a value as JSON, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def conversation_sha256(messages: list[dict[str, str]]) -> str:
    """The identity of a conversation: a prompt's hash, its `group_id`, and what its split follows from."""
    return hashlib.sha256(canonical([[m["role"], m["content"]] for m in messages])).hexdigest()


def split_of(sha256: str) -> str:
    """The split that content with this hash belongs to, the same wherever and whenever it is met."""
    return "test" if int(sha256[:8], 16) < HELD_OUT * 2**32 else "train"


def prompt_sha256(row: Row, *, kind: str) -> str:
    """What may not stand in two splits: for conversations everything before the first answer, for a corpus the
    text, for labelled rows their group, for principles themselves."""
    match kind:
        case DatasetKind.CORPUS:
            return hashlib.sha256(row["text"].encode()).hexdigest()
        case DatasetKind.LABELLED:
            return hashlib.sha256(labelled.belongs_to(row).encode()).hexdigest()
        case DatasetKind.CONSTITUTION:
            return hashlib.sha256(row["id"].encode()).hexdigest()
        case DatasetKind.COMPLETIONS:
            return hashlib.sha256(row["prompt_id"].encode()).hexdigest()
        case DatasetKind.PREFERENCE:
            return conversation_sha256(row["prompt"])
        case DatasetKind.PROMPTS:
            return conversation_sha256(row["messages"])
        case _:
            roles = [message["role"] for message in row["messages"]]
            return conversation_sha256(row["messages"][: roles.index("assistant")])


class RowsHash:
    """The hash of a dataset's rows. Rows in another order are the same rows; a row twice, or in another split, is not.

    It is over the digests of the rows, sorted in each split: these are kept, on disk where they are many, and not the rows.
    """

    def __init__(self, kind: str, *, folder: Path | None = None) -> None:
        self.kind = kind
        self.folder = folder or Path(tempfile.gettempdir())
        self.digests: dict[str, Digests] = {}

    def add(self, split: str, row: Row) -> None:
        if split not in self.digests:
            self.digests[split] = Digests(32, folder=self.folder)
        self.digests[split].add(hashlib.sha256(canonical(row)).digest())

    def hexdigest(self) -> str:
        splits = {}
        for name, digests in self.digests.items():
            whole = hashlib.sha256()
            for block in digests.blocks():
                whole.update(b"".join(block))
            splits[name] = whole.hexdigest()
        return hashlib.sha256(canonical([self.kind, splits])).hexdigest()


def complaint_about(row: Any, *, kind: str) -> str | None:
    """What is wrong with a row of this kind, in a few words after "the row"; None for a good one."""
    if not isinstance(row, Mapping):
        return gettext("is not an object")
    schema = SCHEMAS[kind]
    for name in row:
        if name not in schema.names and name not in optional_names(kind):
            return gettext("has an unknown column %(column)s") % {"column": name}
    for field in schema:
        if field.name not in row:
            return gettext("has no %(column)s") % {"column": field.name}
        if complaint := _about_value(row[field.name], field.type):
            return gettext("%(complaint)s in %(column)s") % {"complaint": complaint, "column": field.name}
    return _about_shape(row, kind=kind)


def optional_names(kind: str) -> list[str]:
    schema = OPTIONAL.get(kind)
    return list(schema.names) if schema is not None else []


def plain(row: Row, *, kind: str) -> dict[str, Any]:
    """The row without optional columns in which it says nothing: the same row as in a dataset that doesn't have them."""
    names = optional_names(kind)
    return {name: value for name, value in row.items() if value is not None or name not in names}


def _about_value(value: Any, kind: pa.DataType) -> str | None:
    if kind == MESSAGES:
        return about_messages(value)
    if kind == labelled.SPANS:
        return labelled.about_spans(value)
    if kind == principles.TAGS:
        return principles.about_tags(value)
    if kind == principles.EXAMPLES:
        return principles.about_examples(value)
    if pa.types.is_string(kind):
        return _about_text(value)
    if pa.types.is_boolean(kind):
        return None if isinstance(value, bool) else gettext("has no true or false")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return gettext("has no number")
    if pa.types.is_integer(kind):
        whole = isinstance(value, int) and abs(value) < 2 ** (kind.bit_width - 1)
        return None if whole else gettext("has no whole number of %(bits)s bits") % {"bits": kind.bit_width}
    return None


def _about_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return gettext("has no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        return gettext("has half a character (a lone surrogate)")
    return None


def about_messages(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return gettext("has no list of messages")
    for message in value:
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            return gettext("has a message that is not just role and content")
        if message["role"] not in ROLES:
            return gettext("has a message of a role that is not %(known)s") % {"known": ", ".join(ROLES)}
        if complaint := _about_text(message["content"]):
            return complaint
    return None


def _about_shape(row: Row, *, kind: str) -> str | None:
    if not row["id"]:
        return gettext("has an empty id")
    match kind:
        case DatasetKind.CORPUS:
            return None if row["text"].strip() else gettext("has an empty text")
        case DatasetKind.LABELLED:
            return labelled.about_labelled(row)
        case DatasetKind.CONSTITUTION:
            return principles.about_principle(row)
        case DatasetKind.PROMPTS:
            return None if row["messages"][-1]["role"] == "user" else gettext("does not end with a user's turn")
        case DatasetKind.INSTRUCTIONS:
            roles = [message["role"] for message in row["messages"]]
            if roles[-1] != "assistant" or roles[0] == "assistant":
                return gettext("does not go from a question to an assistant's answer")
        case DatasetKind.PREFERENCE:
            if row["prompt"][-1]["role"] != "user":
                return gettext("has a prompt that does not end with a user's turn")
            if any([m["role"] for m in row[side]] != ["assistant"] for side in ("chosen", "rejected")):
                return gettext("must have one assistant's message each as chosen and rejected")
            if row["weight"] <= 0:
                return gettext("has a weight that is not above 0")
            label = row.get("label")
            if label is not None and (_about_value(label, pa.float64()) or not 0.5 <= label <= 1):
                return gettext("has a label that is no number from 0.5 to 1")
    return None
