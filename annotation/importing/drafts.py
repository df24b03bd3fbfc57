"""What a reader of any format makes of a record of its file: the one shape that is checked next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class Draft:
    """As the file has it, nothing checked yet.

    `prompt` is a text or messages; completions are {"id", "text", "model"?}; rankings are what `annotation.services.saying`
    reads, where a "rater" of None is somebody whose name the file does not tell. Two completions or more are one task;
    a single one waits until K of its prompt are there. `columns` is the record, for `columns.optional_columns`.
    """

    prompt: Any
    completions: tuple[Any, ...] = ()
    rankings: tuple[Any, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)


class Reader(ABC):
    """One format. A subclass says which records are its own, and makes drafts of them."""

    name = ""
    label: str | Promise = ""  # lazy: the same class speaks to people of any language

    def __init__(self) -> None:
        self.notes: dict[str, None] = {}  # what an admin should know of how the file was read, each once
        self.unread: set[str] = set()

    @classmethod
    @abstractmethod
    def fits(cls, record: Mapping[str, Any]) -> bool:
        """Whether a record of the file looks like one of this format."""

    @abstractmethod
    def drafts(self, record: Mapping[str, Any]) -> Iterator[Draft]:
        """Raises `BadLine`."""

    def note(self, sentence: str) -> None:
        self.notes.setdefault(sentence)

    def leave(self, names: Iterable[str]) -> None:
        """Columns that say nothing here; the dry run names them."""
        self.unread.update(sorted(map(str, names))[:20])
