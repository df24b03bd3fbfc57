"""Products for raters: a migrated database for each test, by copying one; what a mutant's build would not have is taken out."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.mutants import DROPPED
from tests.faults.sites import ROOT, Site, on_sqlite
from tests.servers import Server


@dataclass(frozen=True, slots=True)
class Stage:
    """A campaign that is open, and those who work on it: id, name, token and session of each."""

    slug: str
    id: int
    wanted: int  # rankings, when every task is complete
    overlap: int
    raters: list[dict[str, Any]]
    researchers: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Houses:
    """Makes sites that have migrated databases of their own."""

    blank: Site
    files: Path  # what pages refer to

    def new(self, home: Path, *, mutant: str = "") -> Site:
        home.mkdir(exist_ok=True)
        server = self.blank.server
        if server is None:
            site = on_sqlite(home, self.blank.home, times={})
        else:
            name = f"house_{uuid.uuid4().hex[:12]}"
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE blank")
            site = Site(home, server.url.replace("/postgres?", f"/{name}?"), moved(server, name), times={})
            shutil.copy(self.blank.home / "secret.key", home / "secret.key")
        (home / "static").symlink_to(self.files)
        for table, what in DROPPED.get(mutant, ()):
            drop(site, table, what)
        return site


def moved(server: Server, name: str) -> Server:
    return replace(server, url=server.url.replace("/postgres?", f"/{name}?"))


def stage(site: Site, **asked: int | str) -> Stage:
    arguments = [text for name, value in asked.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.faults.stage", *arguments]
    done = subprocess.run(command, env=site.env(), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Stage(**json.loads(done.stdout))


def drop(site: Site, table: str, what: str) -> None:
    """A unique index of that name, or the uniqueness of that column."""
    if site.server is not None:
        found = site.sql(
            "SELECT i.relname, c.conname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid "
            "LEFT JOIN pg_constraint c ON c.conindid = i.oid WHERE x.indrelid = ?::regclass AND x.indisunique "
            "AND (i.relname = ? OR pg_get_indexdef(i.oid) LIKE ?)", table, what, f"%({what})",
        )  # fmt: skip
        with psycopg.connect(site.server.url, autocommit=True) as connection:
            for index, constraint in found:
                connection.execute(
                    f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"' if constraint else f'DROP INDEX "{index}"'
                )
        assert found, what
        return
    with closing(sqlite3.connect(site.home / "db.sqlite3")) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", [what]).fetchone():
            connection.execute(f'DROP INDEX "{what}"')
        else:  # it stands in the column's definition
            [(before,)] = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", [table]).fetchall()
            parts = [part.replace(" UNIQUE", "") if f'"{what}"' in part[:60] else part for part in before.split(",")]
            assert ",".join(parts) != before, what
            rebuild(connection, table, ",".join(parts))
        connection.commit()


def rebuild(connection: sqlite3.Connection, table: str, definition: str) -> None:
    """As SQLite's documentation has it for what ALTER TABLE can't do; here while the table is empty."""
    indexes = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", [table]
    ).fetchall()
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(f"DROP TABLE {table}")
    connection.execute(definition)
    for (index,) in indexes:
        connection.execute(index)
