"""Products to measure, one on SQLite and one on PostgreSQL, each with a migrated database and files of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.sites import Site
from tests.servers import postgres


@contextmanager
def sqlite_site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="sh-bench-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        yield ready(Site(home, f"sqlite:///{home / 'db.sqlite3'}", times={}))


@contextmanager
def postgres_site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="sh-bench-", ignore_cleanup_errors=True) as name, postgres() as server:
        yield ready(Site(Path(name), server.url, server, times={}))


SITES = {"sqlite": sqlite_site, "postgresql": postgres_site}


def ready(site: Site) -> Site:
    site.manage("migrate", "--verbosity", "0")
    site.manage("collectstatic", "--no-input", "--verbosity", "0")
    return site


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())
