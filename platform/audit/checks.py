"""What must hold of the whole database: the chain of deeds, references, and that a commit outlives a power cut."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from audit.invariants import invariant
from audit.services import first_broken_link

LASTS = {
    "fsync": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write", "local"),
    "full_page_writes": ("on",),
}
FULL = 2  # of SQLite's `synchronous`; 3 is stricter


@invariant("Every deed in the audit log follows from the one before it.")
def audit_chain() -> Iterator[str]:
    event = first_broken_link()
    if event is not None:
        yield f"audit event {event.pk}"


@invariant("No row refers to one that is not there, and the file of the database is whole.")
def references() -> Iterator[str]:
    if connection.vendor != "sqlite":
        return  # PostgreSQL checks both by itself
    with connection.cursor() as cursor:
        for table, row, parent, _ in cursor.execute("PRAGMA foreign_key_check").fetchall():
            yield f"row {row} of {table} refers to what is not in {parent}"
        for (said,) in cursor.execute("PRAGMA quick_check").fetchall():
            if said != "ok":
                yield said


@invariant("What the database has said is saved outlives a power cut.")
def durability() -> Iterator[str]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            [level] = cursor.execute("PRAGMA synchronous").fetchone()
            if level < FULL:
                yield f"synchronous = {level}: commits since the last checkpoint may be lost"
            return
        for name, good in LASTS.items():
            cursor.execute(f"SHOW {name}")
            [value] = cursor.fetchone()
            if value not in good:
                yield f"{name} = {value}"
