"""What a file counts in, in words: its lines, the items of a JSON list, the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext, ngettext

from accounts.numbers import whole

LINE, ITEM, ROW = "Line", "Item", "Row"  # as they are kept, and as programs read them


@dataclass(frozen=True, slots=True)
class UnitWords:
    one: str
    bad: str
    all_good: str
    none_good: str
    leave_out: str


def name_of(unit: str) -> str:
    return {LINE: gettext("Line"), ITEM: gettext("Item"), ROW: gettext("Row")}[unit]


def words_of(unit: str, *, num_bad: int) -> UnitWords:
    """In the language of whoever reads them."""
    words = {LINE: line_words, ITEM: item_words, ROW: row_words}[unit](num_bad)
    return UnitWords(name_of(unit), *words[:-1], leave_out=words[-1] % {"num": whole(num_bad)})


def line_words(num_bad: int) -> tuple[str, str, str, str]:
    return (
        gettext("Bad lines"),
        gettext("every line could be read"),
        gettext("There is no good line in it: mend the file and bring it again."),
        ngettext("Leave the %(num)s bad line out", "Leave the %(num)s bad lines out", num_bad),
    )


def item_words(num_bad: int) -> tuple[str, str, str, str]:
    return (
        gettext("Bad items"),
        gettext("every item could be read"),
        gettext("There is no good item in it: mend the file and bring it again."),
        ngettext("Leave the %(num)s bad item out", "Leave the %(num)s bad items out", num_bad),
    )


def row_words(num_bad: int) -> tuple[str, str, str, str]:
    return (
        gettext("Bad rows"),
        gettext("every row could be read"),
        gettext("There is no good row in it: mend the file and bring it again."),
        ngettext("Leave the %(num)s bad row out", "Leave the %(num)s bad rows out", num_bad),
    )
