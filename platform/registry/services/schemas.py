"""The columns of each kind of dataset, and the checks that a row must pass before it is frozen."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa

from accounts.errors import UserError
from registry.models import DatasetKind

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
ROLES = ("system", "user", "assistant")

SCHEMAS: dict[str, pa.Schema] = {
    DatasetKind.CORPUS: pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string())]),
    DatasetKind.INSTRUCTIONS: pa.schema([("id", pa.string()), ("messages", MESSAGES)]),
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
}  # fmt: skip

# What says that two rows are about the same prompt or text: it must not be in two splits.
GROUP = {
    DatasetKind.CORPUS: "text",
    DatasetKind.INSTRUCTIONS: "messages",
    DatasetKind.PROMPTS: "messages",
    DatasetKind.COMPLETIONS: "prompt_id",
    DatasetKind.PREFERENCE: "group_id",
}
NEEDED = {
    DatasetKind.CORPUS: ("text",),
    DatasetKind.INSTRUCTIONS: ("messages",),
    DatasetKind.PROMPTS: ("messages",),
    DatasetKind.COMPLETIONS: ("prompt_id", "text"),
    DatasetKind.PREFERENCE: ("prompt", "chosen", "rejected"),
}


class BadRow(UserError):
    code = "bad_rows"


def checked(row: dict[str, Any], *, kind: str) -> dict[str, Any]:
    """The row with the kind's columns and no others. Raises `BadRow` with what is wrong with it, without its place."""
    schema = SCHEMAS[kind]
    if unknown := sorted(set(row) - set(schema.names)):
        raise BadRow(f"{', '.join(unknown)} is no column of {kind} rows; there are {', '.join(schema.names)}")
    for name in NEEDED[DatasetKind(kind)]:
        if not row.get(name):
            raise BadRow(f"{name} is missing or empty")
    for name in ("messages", "prompt", "chosen", "rejected"):
        if name in row:
            check_messages(row[name], name=name)
    if kind == DatasetKind.PROMPTS and row["messages"][-1]["role"] != "user":
        raise BadRow("the conversation must end with a user's turn")
    if kind == DatasetKind.INSTRUCTIONS and row["messages"][-1]["role"] != "assistant":
        raise BadRow("the conversation must end with an assistant's turn")
    if "text" in row and not isinstance(row["text"], str):
        raise BadRow("text must be a string")
    whole = {name: row.get(name) for name in schema.names}
    return whole | {"id": str(row["id"]) if row.get("id") else id_of(whole)}


def id_of(row: dict[str, Any]) -> str:
    """An id by content, so that the same file imported twice gives the same rows."""
    return hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()[:20]


def check_messages(messages: Any, *, name: str) -> None:
    if not isinstance(messages, list) or not messages:
        raise BadRow(f"{name} must be a list of messages")
    for message in messages:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise BadRow(f"{name}: a message has a role and a content, and nothing else")
        if message["role"] not in ROLES:
            raise BadRow(f"{name}: {message['role']!r} is no role; there are {', '.join(ROLES)}")
        if not isinstance(message["content"], str) or not message["content"].strip():
            raise BadRow(f"{name}: a message is empty")
