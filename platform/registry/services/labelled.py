"""Labelled rows, of three tasks in one schema: what makes one good, and the layouts in which people have them.

A row is a text with a `label` (classification), with `spans` that have labels (entities), or with a `question` whose answers
are `spans` of the text; a question without a span has no answer there. `start` and `end` count characters (Unicode code
points), `end` is the first one behind. Rows of one `group` (the paragraphs of one speech) are never torn between two splits.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext

SPANS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())]))
SCHEMA = pa.schema(
    [
        ("id", pa.string()), ("text", pa.string()), ("question", pa.string()), ("label", pa.string()), ("spans", SPANS),
        ("group", pa.string()),
    ]
)  # fmt: skip
EMPTY: dict[str, Any] = {"question": "", "label": "", "spans": [], "group": ""}
TASKS = ("text-classification", "token-classification", "question-answering")

Row = Mapping[str, Any]


def belongs_to(row: Row) -> str:
    """What may not stand in two splits: the row's group, or else its text."""
    return f"group {row['group']}" if row["group"] else f"text {row['text']}"


# What is wrong with a row


def about_spans(value: Any) -> str | None:
    if not isinstance(value, list):
        return gettext("has no list of spans")
    for span in value:
        if not isinstance(span, Mapping) or set(span) != {"start", "end", "label"}:
            return gettext("has a span that is not just start, end and label")
        if any(isinstance(span[side], bool) or not isinstance(span[side], int) for side in ("start", "end")):
            return gettext("has a span whose start or end is no whole number")
        if not isinstance(span["label"], str):
            return gettext("has a span whose label is no text")
    return None


def about_labelled(row: Row) -> str | None:
    text, spans = row["text"], sorted(row["spans"], key=lambda span: (span["start"], span["end"]))
    if not text.strip():
        return gettext("has an empty text")
    for span in spans:
        if not 0 <= span["start"] < span["end"] <= len(text):
            return gettext("has a span from %(start)s to %(end)s, which is not within its %(length)s characters") % {
                "start": span["start"], "end": span["end"], "length": len(text),
            }  # fmt: skip
        if not text[span["start"] : span["end"]].strip():
            return gettext("has a span of blanks alone")
    if row["question"]:
        return None
    if any(not span["label"] for span in spans):
        return gettext("has a span without a label, and no question that it could answer")
    if any(one["end"] > other["start"] for one, other in itertools.pairwise(spans)):
        return gettext("has spans that overlap")
    return None


# Layouts that are in use


def shaped(raw: Row) -> tuple[dict[str, Any], frozenset[str]]:
    """The row with our columns, and the columns which that took: SQuAD's context and answers, CoNLL's tokens and tags."""
    row = dict(raw)
    used: set[str] = set()
    if "text" not in row and isinstance(row.get("context"), str):
        row["text"] = row["context"]
        used.add("context")
    if "spans" not in row and isinstance(row.get("answers"), Mapping):
        row["spans"] = answers_of(row["answers"])
        used.add("answers")
    if "text" not in row and is_words(row.get("tokens")) and is_words(row.get("tags")):
        row["text"], row["spans"] = tagged(row["tokens"], row["tags"])
        used |= {"tokens", "tags"}
    if isinstance(row.get("spans"), str):  # of a table, which has no lists
        row["spans"] = spans_in_json(row["spans"])
    for name in ("label", "group"):
        if isinstance(row.get(name), int) and not isinstance(row[name], bool):
            row[name] = str(row[name])
    return {**EMPTY, **{name: value for name, value in row.items() if value is not None}}, frozenset(used)


def is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def answers_of(answers: Row) -> Any:
    """SQuAD's `{"text": [...], "answer_start": [...]}`; anything else is given back, to be told."""
    texts, starts = answers.get("text"), answers.get("answer_start")
    if not is_words(texts) or not isinstance(starts, list) or len(starts) != len(texts or ()):
        return answers
    found = zip(texts or (), starts, strict=True)
    return [{"start": at, "end": at + len(text) if isinstance(at, int) else at, "label": ""} for text, at in found]


def tagged(tokens: Sequence[str], tags: Sequence[str]) -> tuple[str, Any]:
    """Words joined by blanks, and the entities of their BIO tags; the tags, to be told, where there is none a word."""
    if len(tokens) != len(tags):
        return " ".join(tokens), tags
    spans: list[dict[str, Any]] = []
    place, open_label = 0, ""
    for token, tag in zip(tokens, tags, strict=True):
        prefix, _, label = tag.partition("-")
        if prefix == "I" and label == open_label and spans:
            spans[-1]["end"] = place + len(token)
        elif prefix in ("B", "I"):
            spans.append({"start": place, "end": place + len(token), "label": label})
        open_label = label if prefix in ("B", "I") else ""
        place += len(token) + 1
    return " ".join(tokens), spans


def spans_in_json(text: str) -> Any:
    if not text.strip():
        return []
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def table_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The rows of a CSV file whose first line names its columns, each with its line; a complaint for a bad one."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            columns = next(reader, [])
            if len(set(columns)) < len(columns) or "" in columns:
                yield 1, gettext("names a column twice, or one by no name")
                return
            for cells in reader:
                if len(cells) != len(columns) and cells:
                    yield reader.line_num, gettext("has %(cells)s cells, not %(columns)s") % {
                        "cells": len(cells), "columns": len(columns),
                    }  # fmt: skip
                elif cells:
                    # A cell that is empty says nothing: of an id, that there is none.
                    named = zip(columns, cells, strict=True)
                    yield reader.line_num, {name: cell for name, cell in named if cell or name == "text"}
        except UnicodeDecodeError:
            yield reader.line_num + 1, gettext("is no UTF-8")
        except csv.Error as error:
            yield reader.line_num, gettext("is no CSV (%(error)s)") % {"error": error}
