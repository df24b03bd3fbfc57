"""PostgreSQL stopped as a power cut stops it, again and again, while raters submit: what was acknowledged is there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from tests.faults.houses import Stage, stage
from tests.faults.runs_of_raters import Fault, Field, Told, a_day
from tests.faults.sites import Site
from tests.servers import Server, postgres, wait_until_it_answers

pytestmark = pytest.mark.slow

CRASHES = 6
SAID_TOO_EARLY = 5  # rankings: acknowledged while nobody writes them to the disk


@pytest.fixture
def server(cluster: Path) -> Iterator[Server]:
    """One of its own: it is not only asked."""
    with postgres(like=cluster) as found:
        yield found


def crash(server: Server, *, before: Fault | None = None) -> Fault:
    """`pg_ctl stop -m immediate` and a start: SIGQUIT to the parent, which ends its children without a checkpoint."""

    async def strike(field: Field) -> None:
        if before:
            await before(field)
        await asyncio.to_thread(server.kill, signal.SIGQUIT)
        await asyncio.sleep(0.3)
        server.start()
        await asyncio.to_thread(wait_until_it_answers, server)

    return strike


def without_its_writer(server: Server) -> Fault:
    """Commits that did not wait are written by the WAL writer, a page at a time, within a moment.

    It is stopped until some of them were acknowledged, and ended before it can write them: what it writes in time is
    otherwise a matter of chance, and now and then it is all.
    """

    async def strike(field: Field) -> None:
        with psycopg.connect(server.url) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
            [(writer,)] = connection.execute(query).fetchall()
        os.kill(writer, signal.SIGSTOP)
        wanted = len(field.ledger.acked) + SAID_TOO_EARLY
        while len(field.ledger.acked) < wanted:
            await asyncio.sleep(0.02)
        os.kill(writer, signal.SIGKILL)

    return strike


def a_day_of_crashes(
    server: Server, home: Path, *, raters: int, tasks: int, strikes: Sequence[Fault], seed: int
) -> tuple[Told, Stage]:
    home.mkdir()
    site = Site(home, server.url, server, times={})
    asked = stage(site, raters=raters, tasks=tasks, overlap=3)
    faults = [((number + 1) / (len(strikes) + 2), strike) for number, strike in enumerate(strikes)]
    return a_day(site, asked, seed=seed, faults=faults), asked


def test_six_crashes_of_the_database_lose_nothing_and_the_web_processes_go_on_by_themselves(server: Server, tmp_path):
    told, asked = a_day_of_crashes(
        server, tmp_path / "home", raters=24, tasks=60, strikes=[crash(server)] * CRASHES, seed=3
    )
    print(told.verdict, told.ledger.statuses, round(told.seconds, 1))
    assert told.verdict.is_sound
    assert told.verdict.acked >= asked.wanted
    assert told.violations == {}
    assert told.ledger.statuses[503] > 0, "no crash met a request"
    assert 500 not in told.ledger.statuses


def test_a_database_that_says_saved_before_it_is_on_the_disk_is_found_out(server: Server, tmp_path):
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("SELECT pg_reload_conf()")
    strikes = [crash(server, before=without_its_writer(server))] * 2
    told, _ = a_day_of_crashes(server, tmp_path / "home", raters=16, tasks=30, strikes=strikes, seed=4)
    print(told.verdict)
    assert told.verdict.missing > 0
    assert told.violations["durability"] == 1
