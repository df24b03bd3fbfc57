"""The database refuses to change or remove an audit event, on SQLite and on PostgreSQL, as its migrations make it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from audit.triggers import SENTENCE
from tests import servers

INSERT = (
    "INSERT INTO audit_auditevent (at, action, target_type, target_id, data, previous_hash, hash) "
    "VALUES ('2026-01-01 00:00:00+00:00', 'deed', '', '', '{}', 'a', 'b')"
)
CHANGES = ["UPDATE audit_auditevent SET action = 'other'", "DELETE FROM audit_auditevent"]


def migrate(home: Path, **environment: str) -> None:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "migrate", "audit", "--verbosity", "0"]
    subprocess.run(command, check=True, env={**os.environ, "STEADYHAND_HOME": str(home), **environment}, timeout=120)


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    migrate(home, STEADYHAND_DATABASE_URL=f"sqlite:///{home / 'db.sqlite3'}")
    with sqlite3.connect(home / "db.sqlite3") as database:
        database.execute(INSERT)
    return home / "db.sqlite3"


@pytest.mark.parametrize("change", [*CHANGES, "REPLACE INTO audit_auditevent SELECT * FROM audit_auditevent"])
def test_sqlite_refuses(sqlite_file, change):
    database = sqlite3.connect(sqlite_file)
    with pytest.raises(sqlite3.IntegrityError, match=SENTENCE):
        database.execute(change)
    assert database.execute("SELECT action FROM audit_auditevent").fetchall() == [("deed",)]
    database.close()


@pytest.mark.slow
def test_postgresql_refuses(tmp_path):
    with servers.postgres() as server:
        migrate(tmp_path, STEADYHAND_DATABASE_URL=server.url)
        with psycopg.connect(
            host=str(server.folder), user="steadyhand", dbname="postgres", autocommit=True
        ) as database:
            database.execute(INSERT)
            for change in [*CHANGES, "TRUNCATE audit_auditevent"]:
                with pytest.raises(psycopg.errors.RaiseException, match=SENTENCE):
                    database.execute(change)
            assert database.execute("SELECT action FROM audit_auditevent").fetchall() == [("deed",)]
