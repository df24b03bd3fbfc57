"""Records of JSON files: one a line, or the items of one list, read one by one however long the list is."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext

from annotation.importing.complaints import BadFile
from annotation.importing.opening import LARGEST_LINE, Reads, lines_of
from annotation.services.texts import BadLine

CHUNK = 256 * 1024
BLANK = " \t\r\n"


def not_a_number(name: str) -> None:
    raise BadLine(gettext("%(name)s is no number in JSON.") % {"name": name}, code="not_a_number")


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a name stand twice, and readers differ in which they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadLine(gettext("“%(name)s” stands twice in one object.") % {"name": twice[:40]}, code="twice")
    return found


DECODER = json.JSONDecoder(parse_constant=not_a_number, object_pairs_hook=once)


def json_lines(file: Reads) -> Iterator[tuple[int, Any]]:
    for number, line in lines_of(file):
        yield number, line if isinstance(line, BadLine) else value_of(line)


def value_of(line: str) -> Any:
    try:
        return DECODER.decode(line)
    except BadLine as error:
        return error
    except RecursionError:
        return BadLine(gettext("This is nested too deeply."), code="too_deep")
    except ValueError:
        return BadLine(gettext("This is not JSON."), code="not_json")


def json_items(file: Reads) -> Iterator[tuple[int, Any]]:
    """The items of a list, numbered from 1. A list that is torn or broken has no next item: raises `BadFile`."""
    text = Window(file)
    text.skip(BLANK)
    text.take("[")
    text.skip(BLANK)
    number = 0
    while text.peek() != "]":
        number += 1
        yield number, text.item(number)
        text.skip(BLANK)
        if text.peek() != "]":
            text.take(",")
            text.skip(BLANK)
    text.take("]")
    text.skip(BLANK)
    if text.peek():
        raise BadFile(gettext("Something follows the end of the list."), code="not_json")


class Window:
    """The part of a text that is being read: it grows until an item is whole, and no further than the longest item."""

    def __init__(self, file: Reads) -> None:
        self.file = file
        self.decode = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0
        self.is_end = False

    def grow(self) -> bool:
        """Whether there was more."""
        if self.is_end:
            return False
        raw = self.file.read(max(CHUNK, len(self.text) - self.at))
        self.is_end = not raw
        try:
            self.text = self.text[self.at :] + self.decode.decode(raw, final=self.is_end)
        except UnicodeDecodeError as error:
            raise BadFile(gettext("The file is not UTF-8."), code="not_utf8") from error
        self.at = 0
        return bool(raw)

    def peek(self) -> str:
        while self.at >= len(self.text) and self.grow():
            pass
        return self.text[self.at : self.at + 1]

    def skip(self, what: str) -> None:
        while (sign := self.peek()) and sign in what:
            self.at += 1

    def take(self, sign: str) -> None:
        if self.peek() != sign:
            raise BadFile(gettext("The file is not one list of JSON."), code="not_json") if self.peek() else torn()
        self.at += 1

    def item(self, number: int) -> Any:
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
                # A number may go on behind the window's end: only what is followed by something is whole.
                if end < len(self.text) or not self.grow_for(number):
                    self.at = end
                    return value
                continue
            except BadLine as error:
                told = {"number": number, "error": error}
                raise BadFile(gettext("Item %(number)s: %(error)s") % told, code=error.code) from error
            except RecursionError as error:
                sentence = gettext("Item %(number)s is nested too deeply.")
                raise BadFile(sentence % {"number": number}, code="too_deep") from error
            except ValueError as error:
                if not self.grow_for(number):
                    raise torn() from error

    def grow_for(self, number: int) -> bool:
        if len(self.text) - self.at > LARGEST_LINE:
            sentence = gettext("Item %(number)s is broken, or longer than %(most)s MiB.")
            raise BadFile(sentence % {"number": number, "most": LARGEST_LINE // 2**20}, code="not_json")
        return self.grow()


def torn() -> BadFile:
    return BadFile(gettext("The list has no end: the file is torn or broken JSON."), code="torn_file")
