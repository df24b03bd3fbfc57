"""A product of its own for each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.faults.houses import Houses
from tests.faults.sites import Site
from tests.servers import postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp(f"site-{request.param}")
    with ExitStack() as stack:
        server = stack.enter_context(postgres()) if request.param == "postgres" else None
        site = Site(home, server.url if server else f"sqlite:///{home / 'db.sqlite3'}", server)
        site.manage("migrate", "--verbosity", "0")
        yield site


@pytest.fixture
def site(installed: Site) -> Iterator[Site]:
    yield installed
    installed.end_workers()
    for (run_id,) in installed.sql("SELECT id FROM runs_run WHERE state IN ('queued', 'running')"):
        raise AssertionError(f"run {run_id} was left in the queue by this test")


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def blank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A product with migrated tables and nothing in them, from which `houses` are copied."""
    home = tmp_path_factory.mktemp(f"blank-{request.param}")
    with ExitStack() as stack:
        server = stack.enter_context(postgres()) if request.param == "postgres" else None
        if server is not None:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE blank")
        database = server.url.replace("/postgres?", "/blank?") if server else f"sqlite:///{home / 'db.sqlite3'}"
        site = Site(home, database, server, times={})
        site.manage("migrate", "--verbosity", "0")
        yield site


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages refer to, collected once."""
    home = tmp_path_factory.mktemp("files")
    Site(home, f"sqlite:///{home / 'db.sqlite3'}").manage("collectstatic", "--no-input", "--verbosity", "0")
    return home / "static"


@pytest.fixture
def houses(blank: Site, files: Path) -> Houses:
    return Houses(blank, files)
