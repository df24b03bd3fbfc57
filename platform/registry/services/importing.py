"""What is in a file, before and while it becomes a dataset: rows of a kind, each with its line, its split and an id of its own.

A file is read several times and never held: 8 bytes a row are, to find the ids that stand in it twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext, ngettext

from accounts.errors import NotFound, UserError
from registry.models import DatasetKind
from registry.services.digests import Counts, short
from registry.services.layouts import content_id, shaped, unfolded
from registry.services.lines import BadFile, BadLine, raw_rows
from registry.services.schemas import (
    SCHEMAS,
    SPLITS,
    complaint_about,
    optional_names,
    plain,
    prompt_sha256,
    split_of,
)

MOST_TOLD = 20  # bad lines in one answer
KINDS = (
    DatasetKind.CORPUS, DatasetKind.INSTRUCTIONS, DatasetKind.LABELLED, DatasetKind.PROMPTS, DatasetKind.PREFERENCE,
)  # fmt: skip


class BadLines(UserError):
    """`data["lines"]` has the first bad lines with what is wrong with each, `data["num_bad"]` says how many there are."""

    code = "bad_rows"


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    split: str  # empty: by content
    row: dict[str, Any]
    prompt: str  # sha256 of what it is about
    left_out: frozenset[str]  # columns that the kind does not have


class Ids:
    """The ids of a file's rows: which stand in it twice, known after a first reading, and how often each of these was met."""

    def __init__(self) -> None:
        self.repeated: Counts | None = None
        self._met = Counts()
        self._lines: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._times: npt.NDArray[np.int32] = np.zeros(0, np.int32)

    def close(self) -> None:
        self._met.close(at_least=2)
        self.repeated = self._met

    def start(self) -> None:
        """The file is read from its beginning."""
        count = 0 if self.repeated is None else len(self.repeated)
        self._lines, self._times = np.zeros(count, np.int64), np.zeros(count, np.int32)

    def meet(self, name: str, *, line: int) -> tuple[int, int]:
        """The line at which this id stood before (0: nowhere), and how often it did."""
        key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
        if self.repeated is None:
            self._met.add(key)
            return 0, 0
        at = self.repeated.place(key)
        if at is None:
            return 0, 0
        earlier, times = int(self._lines[at]), int(self._times[at])
        self._lines[at] = earlier or line
        self._times[at] += 1
        return earlier, times


@dataclass(slots=True)
class Survey:
    """What one reading of the whole file tells: needed before the first row can be written."""

    splits: Counter[str] = field(default_factory=Counter)
    rows_of_prompt: Counts = field(default_factory=Counts)
    left_out: set[str] = field(default_factory=set)
    raters: dict[str, str] = field(default_factory=dict)  # as the file has them -> pseudonym
    ids: Ids = field(default_factory=Ids)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    num_bad: int = 0


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
    seen = looked_through(path, kind=kind, ids=Ids())
    seen.ids.close()
    if seen.ids.repeated:  # only now is it known which, so that their lines can be told
        seen = looked_through(path, kind=kind, ids=seen.ids)
    if seen.wrong:
        raise bad_lines(path, seen.wrong, num_bad=seen.num_bad)
    if not seen.splits:
        raise BadFile(gettext("%(name)s has no row.") % {"name": path.name}, code="no_rows")
    seen.rows_of_prompt.close()
    return seen


def looked_through(path: Path, *, kind: str, ids: Ids) -> Survey:
    seen = Survey(ids=ids)
    for line in lines_of(path, kind=kind, ids=ids):
        if isinstance(line, tuple):
            seen.num_bad += 1
            seen.wrong += [line] if len(seen.wrong) < MOST_TOLD else []
            continue
        seen.splits[line.split or split_of(line.prompt)] += 1
        seen.left_out |= line.left_out
        if kind == DatasetKind.PREFERENCE:
            seen.rows_of_prompt.add(short(line.prompt))
            seen.raters.setdefault(line.row["rater"], f"imported-{len(seen.raters) + 1}")
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
    for line in lines_of(path, kind=kind, ids=seen.ids):
        assert isinstance(line, Line), "the file changed while it was read"
        theirs = line.split or (split_of(line.prompt) if seen.splits["train"] else "train")
        if theirs != split:
            continue
        if kind == DatasetKind.PREFERENCE:
            # Raters' names stay where they are: an export must not tell who judged.
            line.row["rater"] = seen.raters[line.row["rater"]]
            line.row.setdefault("weight", 1 / seen.rows_of_prompt.of(short(line.prompt)))
        yield line.row


def lines_of(path: Path, *, kind: str, ids: Ids) -> Iterator[Line | tuple[int, str]]:
    """Every row of the file; for a bad one its number and the complaint."""
    ids.start()
    for number, whole in raw_rows(path, kind=kind):
        for raw in unfolded(whole, kind=kind):
            try:
                if isinstance(raw, BadLine):
                    raise raw
                line = line_of(number, raw, kind=kind)
                earlier, times = ids.meet(line.row["id"], line=number)
                if earlier and "id" in raw:
                    raise BadLine(gettext("has the id of line %(line)s") % {"line": earlier})
                if earlier:  # the same content once more
                    line.row["id"] += f"+{times}"
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
    names = [*SCHEMAS[kind].names, *optional_names(kind)]
    whole = plain({name: row[name] for name in names if name in row}, kind=kind)
    whole.setdefault("id", content_id(whole))
    if complaint := complaint_about({"weight": 1.0, **whole} if kind == DatasetKind.PREFERENCE else whole, kind=kind):
        raise BadLine(complaint)
    left_out = frozenset(map(str, raw.keys() - used - {"split"} - set(names)))
    return Line(number, split, whole, prompt_sha256(whole, kind=kind), left_out)
