"""Rows from files: text, JSON lines, CSV and Parquet in the layouts that people have, each row with its line."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext, ngettext

from accounts.errors import NotFound, UserError
from registry.models import DatasetKind
from registry.services import labelled
from registry.services.schemas import (
    SCHEMAS,
    SPLITS,
    about_messages,
    canonical,
    complaint_about,
    conversation_sha256,
    prompt_sha256,
    split_of,
)

MOST_TOLD = 20  # bad lines in one answer
MOST_LINE = 16 * 2**20  # bytes
KINDS = (
    DatasetKind.CORPUS, DatasetKind.INSTRUCTIONS, DatasetKind.LABELLED, DatasetKind.PROMPTS, DatasetKind.PREFERENCE,
)  # fmt: skip
TURN = re.compile(r"\n\n(Human|Assistant):")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}


class BadFile(UserError):
    code = "bad_file"


class BadLines(UserError):
    """`data["lines"]` has the first bad lines with what is wrong with each, `data["num_bad"]` says how many there are."""

    code = "bad_rows"


class BadLine(Exception):
    """What is wrong with one row, in a few words that follow "line 7"."""


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    split: str  # empty: by content
    row: dict[str, Any]
    prompt: str  # sha256 of what it is about
    left_out: frozenset[str]  # columns that the kind does not have


@dataclass(slots=True)
class Survey:
    """What one reading of the whole file tells: needed before the first row can be written."""

    splits: Counter[str] = field(default_factory=Counter)
    rows_of_prompt: Counter[str] = field(default_factory=Counter)
    left_out: set[str] = field(default_factory=set)
    raters: dict[str, str] = field(default_factory=dict)  # as the file has them -> pseudonym


def survey(path: Path, *, kind: str) -> Survey:
    """Reads every line and keeps none. Raises `NotFound`, `BadFile`, `BadLines`."""
    if kind not in KINDS:
        raise BadFile(
            gettext("No file of %(kind)s can be imported; there are %(known)s.")
            % {"kind": kind, "known": ", ".join(KINDS)},
            code="bad_kind",
        )
    if not path.is_file():
        raise NotFound(gettext("There is no file at %(path)s.") % {"path": path}, code="no_file")
    seen = Survey()
    wrong: list[tuple[int, str]] = []
    num_bad = 0
    for line in lines_of(path, kind=kind):
        if isinstance(line, tuple):
            num_bad += 1
            wrong += [line] if len(wrong) < MOST_TOLD else []
            continue
        seen.splits[line.split or split_of(line.prompt)] += 1
        seen.left_out |= line.left_out
        if kind == DatasetKind.PREFERENCE:
            seen.rows_of_prompt[line.prompt] += 1
            seen.raters.setdefault(line.row["rater"], f"imported-{len(seen.raters) + 1}")
    if wrong:
        raise bad_lines(path, wrong, num_bad=num_bad)
    if not seen.splits:
        raise BadFile(gettext("%(name)s has no row.") % {"name": path.name}, code="no_rows")
    return seen


def bad_lines(path: Path, wrong: list[tuple[int, str]], *, num_bad: int) -> BadLines:
    number, complaint = wrong[0]
    sentence = gettext("%(file)s, line %(line)s %(complaint)s. Nothing was imported.")
    if num_bad > 1:
        sentence = ngettext(
            "%(file)s, line %(line)s %(complaint)s, and %(more)s more line is bad. Nothing was imported.",
            "%(file)s, line %(line)s %(complaint)s, and %(more)s more lines are bad. Nothing was imported.",
            num_bad - 1,
        )
    return BadLines(
        sentence % {"file": path.name, "line": number, "complaint": complaint, "more": num_bad - 1},
        lines=[{"line": number, "message": complaint} for number, complaint in wrong],
        num_bad=num_bad,
    )


def rows_of(path: Path, *, kind: str, split: str, seen: Survey) -> Iterator[dict[str, Any]]:
    """The rows of one split, ready to be frozen. A file that is too small to hold a tenth out is for training."""
    for line in lines_of(path, kind=kind):
        assert isinstance(line, Line), "the file changed while it was read"
        theirs = line.split or (split_of(line.prompt) if seen.splits["train"] else "train")
        if theirs != split:
            continue
        if kind == DatasetKind.PREFERENCE:
            # Raters' names stay where they are: an export must not tell who judged.
            line.row["rater"] = seen.raters[line.row["rater"]]
            line.row.setdefault("weight", 1 / seen.rows_of_prompt[line.prompt])
        yield line.row


def lines_of(path: Path, *, kind: str) -> Iterator[Line | tuple[int, str]]:
    """Every row of the file; for a bad one its number and the complaint."""
    ids: dict[str, int] = {}
    for number, raw in raw_rows(path, kind=kind):
        try:
            if isinstance(raw, BadLine):
                raise raw
            line = line_of(number, raw, kind=kind)
            if "id" in raw and (earlier := ids.get(line.row["id"])):
                raise BadLine(gettext("has the id of line %(line)s") % {"line": earlier})
            while line.row["id"] in ids:  # the same content once more, or an id that someone else has
                line.row["id"] += "+"
            ids[line.row["id"]] = number
            yield line
        except BadLine as bad:
            yield number, str(bad)


def line_of(number: int, raw: Any, *, kind: str) -> Line:
    if not isinstance(raw, Mapping):
        raise BadLine(gettext("is not an object"))
    split = raw.get("split", "")
    if split not in ("", *SPLITS):
        raise BadLine(gettext("names a split that is not %(known)s") % {"known": " or ".join(SPLITS)})
    row, used = shaped(raw, kind=kind)
    whole = {name: row[name] for name in SCHEMAS[kind].names if name in row}
    whole.setdefault("id", content_id(whole))
    if complaint := complaint_about({"weight": 1.0, **whole} if kind == DatasetKind.PREFERENCE else whole, kind=kind):
        raise BadLine(complaint)
    left_out = frozenset(map(str, raw.keys() - used - {"split"} - set(SCHEMAS[kind].names)))
    return Line(number, split, whole, prompt_sha256(whole, kind=kind), left_out)


def content_id(row: dict[str, Any]) -> str:
    """An id by content, so that the same file imported twice gives the same rows."""
    try:
        return hashlib.sha256(canonical(row)).hexdigest()[:20]
    except (ValueError, TypeError) as error:  # half characters, endless numbers, dates of Parquet
        raise BadLine(gettext("has a value that is neither text nor number")) from error


def shaped(raw: Mapping[str, Any], *, kind: str) -> tuple[dict[str, Any], frozenset[str]]:
    """The row with the kind's columns, made from other layouts that are in use, and the columns which that took."""
    row = dict(raw)
    match kind:
        case DatasetKind.CORPUS:
            return {"source": "", **row}, frozenset()
        case DatasetKind.LABELLED:
            return labelled.shaped(row)
        case DatasetKind.PROMPTS if "messages" not in row and "prompt" in row:
            return {**row, "messages": talk(row["prompt"], role="user")}, frozenset({"prompt"})
        case DatasetKind.INSTRUCTIONS if "messages" not in row:
            for asked, more, answer in (("prompt", "", "completion"), ("instruction", "input", "output")):
                if asked in row and answer in row:
                    question = row[asked]
                    if more and row.get(more):
                        question = f"{question}\n\n{row[more]}"
                    messages = [*talk(question, role="user"), *talk(row[answer], role="assistant")]
                    return {**row, "messages": messages}, frozenset({asked, more, answer})
        case DatasetKind.PREFERENCE:
            return comparison(row), frozenset()
    return row, frozenset()


def talk(value: Any, *, role: str) -> Any:
    """A text as a conversation of one turn; a conversation as it is."""
    return [{"role": role, "content": value}] if isinstance(value, str) else value


def comparison(row: dict[str, Any]) -> dict[str, Any]:
    """TRL's preference layouts (explicit or implicit prompt, texts or messages) and Anthropic's HH transcripts."""
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if "prompt" in row:
        sides = [talk(row["prompt"], role="user"), talk(chosen, role="assistant"), talk(rejected, role="assistant")]
    else:
        one, other = transcript_turns(chosen), transcript_turns(rejected)
        if one[:-1] != other[:-1]:
            raise BadLine(gettext("has no prompt that chosen and rejected share"))
        sides = [one[:-1], one[-1:], other[-1:]]
    made = {**row, **dict(zip(("prompt", "chosen", "rejected"), sides, strict=True))}
    if complaint := about_messages(made["prompt"]):
        raise BadLine(gettext("%(complaint)s in %(column)s") % {"complaint": complaint, "column": "prompt"})
    about = conversation_sha256(made["prompt"])
    made = {"group_id": about, "prompt_id": about, "rater": "", "margin": 1.0, "simulated": False, **made}
    made.setdefault("ranking_id", content_id({name: made[name] for name in ("prompt", "chosen", "rejected")}))
    return made


def transcript_turns(value: Any) -> list[dict[str, str]]:
    """ "\\n\\nHuman: Why?\\n\\nAssistant: So." as messages; messages as they are."""
    if isinstance(value, list) and len(value) > 1:
        return value
    parts = TURN.split(value) if isinstance(value, str) else []
    if len(parts) < 5:
        raise BadLine(gettext("has neither a prompt nor a transcript of Human and Assistant"))
    before = [{"role": "system", "content": parts[0].strip()}] if parts[0].strip() else []
    spoken = zip(parts[1::2], parts[2::2], strict=True)
    return before + [{"role": SPEAKERS[who], "content": text.removeprefix(" ")} for who, text in spoken]


def raw_rows(path: Path, *, kind: str) -> Iterator[tuple[int, Any]]:
    match path.suffix.lower():
        case ".jsonl":
            return json_lines(path)
        case ".parquet":
            return parquet_rows(path)
        case ".csv" if kind == DatasetKind.LABELLED:
            return table_lines(path)
        case ".txt" if kind in (DatasetKind.CORPUS, DatasetKind.PROMPTS):
            return passages(path) if kind == DatasetKind.CORPUS else prompts_by_line(path)
        case _:
            raise BadFile(
                gettext(
                    "%(name)s is no file of %(kind)s: .jsonl and .parquet are read, .txt as corpus or prompts, "
                    ".csv as labelled."
                )
                % {"name": path.name, "kind": kind}
            )


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in text_lines(path):
        if isinstance(line, BadLine):
            yield number, line
        elif line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, BadLine(gettext("is no JSON"))


def table_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, row in labelled.table_rows(path):
        yield number, BadLine(row) if isinstance(row, str) else row


def passages(path: Path) -> Iterator[tuple[int, Any]]:
    """Passages are separated by blank lines; a file without a blank line between others holds one a line."""
    by_line = not has_blank_line(path)
    first, held = 0, []
    for number, line in text_lines(path):
        if isinstance(line, BadLine):
            yield number, line
            continue
        if line.strip():
            first = first or number
            held.append(line.rstrip("\r\n"))
        if held and (by_line or not line.strip()):
            yield first, {"text": "\n".join(held)}
            first, held = 0, []
    if held:
        yield first, {"text": "\n".join(held)}


def has_blank_line(path: Path) -> bool:
    blank_met = text_met = False
    for _, line in text_lines(path):
        if isinstance(line, BadLine) or line.strip():
            if blank_met:
                return True
            text_met = True
        else:
            blank_met = text_met
    return False


def prompts_by_line(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in text_lines(path):
        if isinstance(line, BadLine):
            yield number, line
        elif line.strip():
            yield number, {"prompt": line.strip()}


def text_lines(path: Path) -> Iterator[tuple[int, str | BadLine]]:
    """Lines with their numbers; one that is too long or no UTF-8 is a complaint, and never held as a whole."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE):
            number += 1
            if len(line) == MOST_LINE and not line.endswith(b"\n"):
                while (rest := file.readline(MOST_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield number, BadLine(gettext("is longer than %(most)s MiB") % {"most": MOST_LINE // 2**20})
                continue
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield number, BadLine(gettext("is no UTF-8"))


def parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Rows count as lines. Columns of types that a library defines are refused: reading them would run its code."""
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            if any(isinstance(column.type, pa.BaseExtensionType) for column in file.schema_arrow):
                raise BadFile(
                    gettext("%(name)s has a column of a type that is not Parquet's own.") % {"name": path.name}
                )
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise BadFile(gettext("%(name)s is no readable Parquet file.") % {"name": path.name}) from error
