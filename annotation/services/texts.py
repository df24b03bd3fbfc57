"""What text a database can keep, and the lines of files that people bring."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accounts.errors import NotFound, UserError
from registry.services.schemas import canonical

LARGEST_LINE = 1024 * 1024  # bytes
LARGEST_FILE = 256 * 1024 * 1024
MOST_TOLD = 20


class BadLines(UserError):
    """`data["lines"]` lists what is wrong, by line; nothing of the file was kept."""

    code = "bad_lines"


class BadFile(UserError):
    code = "bad_file"


class BadLine(ValueError):
    """What is wrong with one line, as a sentence without the line's number."""


def complaint_about(value: Any) -> str:
    """Why a JSON value can't be stored; empty where it can. PostgreSQL refuses NUL, and half characters are no text."""
    try:
        written = canonical(value)
    except UnicodeEncodeError:
        return "half a character (a lone surrogate)"
    except (ValueError, TypeError, RecursionError):
        return "a value that is neither text nor number"
    return "a NUL character" if b"\\u0000" in written else ""


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and what they hold; a bad line is yielded as its `BadLine`. Raises `NotFound`, `BadFile`."""
    for number, line in lines_of(path):
        if isinstance(line, BadLine):
            yield number, line
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            yield number, BadLine("This is not JSON.")
            continue
        complaint = complaint_about(value)
        yield number, BadLine(f"There is {complaint}.") if complaint else value


def lines_of(path: Path) -> Iterator[tuple[int, str | BadLine]]:
    """Lines that aren't blank, decoded, with their numbers from 1."""
    if not path.is_file():
        raise NotFound(f"There is no file {path.name}.", code="no_file")
    if path.stat().st_size > LARGEST_FILE:
        raise BadFile(f"A file has at most {LARGEST_FILE // 2**20} MiB.")
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LARGEST_LINE + 1):
            number += 1
            if len(raw) > LARGEST_LINE:
                raise BadFile(f"Line {number} has more than {LARGEST_LINE // 1024} KiB.")
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield number, BadLine("This is not UTF-8.")
                continue
            if text.strip():
                yield number, text


def refuse(complaints: list[tuple[int, str]]) -> None:
    """Raises `BadLines` where there is any complaint: the first in the sentence, the others in its data."""
    if not complaints:
        return
    number, sentence = complaints[0]
    rest = len(complaints) - 1
    more = f" {rest} more {'line is' if rest == 1 else 'lines are'} bad." if rest else ""
    raise BadLines(
        f"Line {number}: {sentence}{more} Nothing was imported.",
        lines=[{"line": number, "message": sentence} for number, sentence in complaints[:MOST_TOLD]],
        num_bad=len(complaints),
    )
