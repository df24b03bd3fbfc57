"""A product of its own for each kind of database."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.houses import Houses
from tests.faults.sites import Site, on_sqlite
from tests.servers import postgres

# What these prove has no time in it but a minute's patience: another test may run beside them.
SHARES = ("test_any_order.py", "test_power_cut.py", "test_web_server.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_ours = Path(__file__).parent in item.path.parents
        if is_ours and item.get_closest_marker("slow") and item.path.name not in SHARES:
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a product on SQLite with migrated tables and nothing in them: who needs one copies it."""
    home = tmp_path_factory.mktemp("migrated")
    Site(home, f"sqlite:///{home / 'db.sqlite3'}").manage("migrate", "--verbosity", "0")
    return home


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as the data of a PostgreSQL server that has ended."""
    kept = tmp_path_factory.mktemp("cluster")
    with postgres() as server:
        Site(kept, server.url, server, times={}).manage("migrate", "--verbosity", "0")
        server.kill(signal.SIGINT)  # which it takes for "end, but properly"
        subprocess.run(["cp", "-a", str(server.folder / "data"), str(kept / "data")], check=True)
    return kept / "data"


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def installed(
    request: pytest.FixtureRequest, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    home = tmp_path_factory.mktemp(f"site-{request.param}")
    if request.param == "sqlite":
        yield on_sqlite(home, migrated)
        return
    with postgres(like=request.getfixturevalue("cluster")) as server:
        yield Site(home, server.url, server)


@pytest.fixture
def site(installed: Site) -> Iterator[Site]:
    yield installed
    installed.end_workers()
    for (run_id,) in installed.sql("SELECT id FROM runs_run WHERE state IN ('queued', 'running')"):
        raise AssertionError(f"run {run_id} was left in the queue by this test")


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def blank(request: pytest.FixtureRequest, migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A product with migrated tables and nothing in them, from which `houses` are copied."""
    home = tmp_path_factory.mktemp(f"blank-{request.param}")
    if request.param == "sqlite":
        yield on_sqlite(home, migrated, times={})
        return
    shutil.copy(migrated / "secret.key", home / "secret.key")
    with postgres(like=request.getfixturevalue("cluster")) as server:
        with psycopg.connect(server.url.replace("/postgres?", "/template1?"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE blank TEMPLATE postgres")
        yield Site(home, server.url.replace("/postgres?", "/blank?"), server, times={})


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages refer to, collected once."""
    home = tmp_path_factory.mktemp("files")
    Site(home, f"sqlite:///{home / 'db.sqlite3'}").manage("collectstatic", "--no-input", "--verbosity", "0")
    return home / "static"


@pytest.fixture
def houses(blank: Site, files: Path) -> Houses:
    return Houses(blank, files)
