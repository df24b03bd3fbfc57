"""What must hold of the rows and files of a product, whatever happened to it: each app says its own in `checks.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction

Find = Callable[[], Iterable[object]]


@dataclass(frozen=True, slots=True)
class Invariant:
    """`find` names what breaks it, in whatever words lead a person to the row or file."""

    name: str
    sentence: str
    find: Find
    of_files: bool  # reads files, which takes long: not within the snapshot of the database


_all: dict[str, Invariant] = {}


def invariant(sentence: str, *, of_files: bool = False) -> Callable[[Find], Find]:
    """Registers a function under its own name. Modules called `checks` are imported when the apps are ready."""

    def register(find: Find) -> Find:
        _all[find.__name__] = Invariant(find.__name__, sentence, find, of_files)
        return find

    return register


def invariants() -> list[Invariant]:
    return list(_all.values())


def broken(*, with_files: bool = True) -> dict[str, list[str]]:
    """Each invariant by name, with what breaks it. The rows are read as they stood at one moment, while people work."""
    found: dict[str, list[str]] = {}
    with one_moment():
        for each in invariants():
            if not each.of_files:
                found[each.name] = [str(what) for what in each.find()]
    for each in invariants():
        if each.of_files and with_files:
            found[each.name] = [str(what) for what in each.find()]
    return found


@contextmanager
def one_moment() -> Iterator[None]:
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:  # by hand: a transaction of Django's would take SQLite's one write lock, and nobody could work meanwhile
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
