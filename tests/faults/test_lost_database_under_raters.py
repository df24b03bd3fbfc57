"""PostgreSQL stopped as a power cut stops it, again and again, while raters submit: what was acknowledged is there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.houses import Stage, stage
from tests.faults.runs_of_raters import Fault, Field, Told, a_day
from tests.faults.sites import Site
from tests.servers import Server, postgres, wait_until_it_answers

pytestmark = pytest.mark.slow

CRASHES = 6
# What commits say before they are on the disk, and are lost for as long as nobody writes them there.
LYING = ("synchronous_commit = off", "wal_writer_delay = 10000", "wal_writer_flush_after = '1GB'")


@pytest.fixture
def server(cluster: Path) -> Iterator[Server]:
    """One of its own: it is not only asked."""
    with postgres(like=cluster) as found:
        yield found


def crash(server: Server) -> Fault:
    """`pg_ctl stop -m immediate` and a start: SIGQUIT to the parent, which ends its children without a checkpoint."""

    async def strike(_: Field) -> None:
        await asyncio.to_thread(server.kill, signal.SIGQUIT)
        await asyncio.sleep(0.3)
        server.start()
        await asyncio.to_thread(wait_until_it_answers, server)

    return strike


def a_day_of_crashes(
    server: Server, home: Path, *, raters: int, tasks: int, crashes: int, seed: int
) -> tuple[Told, Stage]:
    home.mkdir()
    site = Site(home, server.url, server, times={})
    asked = stage(site, raters=raters, tasks=tasks, overlap=3)
    strikes = [((number + 1) / (crashes + 2), crash(server)) for number in range(crashes)]
    return a_day(site, asked, seed=seed, faults=strikes), asked


def test_six_crashes_of_the_database_lose_nothing_and_the_web_processes_go_on_by_themselves(server: Server, tmp_path):
    told, asked = a_day_of_crashes(server, tmp_path / "home", raters=24, tasks=60, crashes=CRASHES, seed=3)
    print(told.verdict, told.ledger.statuses, round(told.seconds, 1))
    assert told.verdict.is_sound
    assert told.verdict.acked >= asked.wanted
    assert told.violations == {}
    assert told.ledger.statuses[503] > 0, "no crash met a request"
    assert 500 not in told.ledger.statuses


def test_a_database_that_says_saved_before_it_is_on_the_disk_is_found_out(server: Server, tmp_path):
    with psycopg.connect(server.url, autocommit=True) as connection:
        for setting in LYING:
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    told, _ = a_day_of_crashes(server, tmp_path / "home", raters=16, tasks=30, crashes=2, seed=4)
    print(told.verdict)
    assert told.verdict.missing > 0
    assert told.violations["durability"] == 1
