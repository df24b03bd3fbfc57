"""What all tests share: folders and a database of their own, the order of their files, and one line for want of data."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as properties

from audit import triggers
from tests.home import HOME

ROOT = Path(__file__).parent
ALONE = (ROOT / "faults", ROOT / "e2e")  # where `make test` looks for them: reading all tests takes long
SECONDS, SLOW_SECONDS = 0.2, 5.0  # of a test that says nothing else by `slow(seconds=60)`

# What a property says is no matter of how busy the machine is: that is what benchmarks/ are for.
properties.register_profile("whenever", deadline=None, suppress_health_check=[HealthCheck.too_slow])
properties.load_profile("whenever")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("alone") and not any(folder in item.path.parents for folder in ALONE):
            raise pytest.UsageError(f"{item.nodeid} is marked alone: `make test` would miss it there")
    if hasattr(config, "workerinput"):
        items.sort(key=longest_first(items))


def longest_first(items: list[pytest.Item]) -> Callable[[pytest.Item], tuple[bool, float]]:
    """Workers take file after file in this order: a long one that is left for the end keeps one of them waiting.

    Files with a browser come first, one after the other: each stretch of them starts one.
    """
    seconds, browsers = Counter[Path](), set[Path]()
    for item in items:
        slow = item.get_closest_marker("slow")
        seconds[item.path] += slow.kwargs.get("seconds", SLOW_SECONDS) if slow else SECONDS
        if item.get_closest_marker("browser"):
            browsers.add(item.path)
    return lambda item: (item.path not in browsers, -seconds[item.path])


@pytest.fixture(autouse=True)
def folders_of_its_own(settings, tmp_path):
    """Artifacts, runs and uploads of one test never meet another's."""
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"
    settings.RUNS_DIR = tmp_path / "runs"
    settings.UPLOADS_DIR = tmp_path / "uploads"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture(autouse=True)
def quick_hashing(settings):
    """A hash that resists guessing takes a fifth of a second, and most tests of pages make people."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings():
    """SQLite in a file, as in production: threads that share one in memory fail on each other's locks and never wait."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(Path(HOME) / f"test-{os.getpid()}.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Tests that commit are cleaned up by deletion, which the audit log's triggers refuse: tests of those make them anew."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for statement in triggers.DROP[connection.vendor]:
            cursor.execute(statement)


@pytest.fixture(scope="session")
def data() -> Path:
    """Real data of others, where the machine has it."""
    folder = os.environ.get("STEADYHAND_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("STEADYHAND_DATA names no folder of data")
    return Path(folder)
