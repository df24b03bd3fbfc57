"""What is wrong with a file, told by line: the first twenty, how many there are, and a code for each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from django.utils.translation import gettext, ngettext

from accounts.errors import UserError
from annotation.importing.units import LINE, name_of
from annotation.services.texts import BadLine

MOST_TOLD = 20


class BadFile(UserError):
    """The file as a whole: its size, its packing, a format that nobody here knows."""

    code = "bad_file"


class BadLines(UserError):
    """`data["lines"]` lists what is wrong, by line; nothing of the file was kept."""

    code = "bad_lines"


@dataclass(frozen=True, slots=True)
class Complaint:
    line: int
    code: str
    message: str


@dataclass(slots=True)
class Complaints:
    """`unit` is what the file counts in, of `units`."""

    unit: str = LINE
    told: list[Complaint] = field(default_factory=list)
    num_bad: int = 0
    last: int = 0

    def add(self, line: int, error: BadLine) -> None:
        """One a line is counted, also where a line makes several rows that are bad."""
        self.num_bad += line != self.last
        self.last = line
        if len(self.told) < MOST_TOLD:
            self.told.append(Complaint(line, error.code, str(error)))

    def refuse(self) -> None:
        """Raises `BadLines` where there is any: the first in the sentence, the others in its data."""
        if not self.told:
            return
        first, rest = self.told[0], self.num_bad - 1
        told = {"unit": name_of(self.unit), "line": first.line, "message": first.message, "num": rest}
        sentence = (
            ngettext(
                "%(unit)s %(line)s: %(message)s %(num)s more line is bad. Nothing was imported.",
                "%(unit)s %(line)s: %(message)s %(num)s more lines are bad. Nothing was imported.",
                rest,
            )
            if rest
            else gettext("%(unit)s %(line)s: %(message)s Nothing was imported.")
        )
        raise BadLines(
            sentence % told,
            unit=self.unit, lines=[asdict(complaint) for complaint in self.told], num_bad=self.num_bad,
        )  # fmt: skip
