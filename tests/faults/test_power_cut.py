"""SQLite under raters while the power may go at any moment: of what was acknowledged before, all is on the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.faults import powercut
from tests.faults.count import verdict
from tests.faults.houses import Houses, Stage, stage
from tests.faults.raters import Acked, Day, Ledger, rater
from tests.faults.runs_of_raters import violations
from tests.faults.sites import Site
from tests.faults.webs import webs

pytestmark = pytest.mark.slow

CUTS = 40 if "STEADYHAND_FULL" in os.environ else 10


@dataclass(frozen=True, slots=True)
class Cut:
    """What was acknowledged before the power went, and the folder that it left."""

    acked: list[Acked]
    sent: set[str]
    home: Path


@pytest.fixture
def power(houses: Houses, tmp_path: Path) -> Site:
    """A product on SQLite whose disk is watched."""
    if houses.blank.server is not None:
        pytest.skip("PostgreSQL has tests of its own")
    if powercut.library() is None:
        pytest.skip("this Python has SQLite built in: its syncs can't be watched")
    return houses.new(tmp_path / "home")


def cuts_of(site: Site, asked: Stage, kept: Path, *, build: str, cuts: int) -> list[Cut]:
    """Raters work; at each share of it, what a power cut would leave is set aside."""
    ledger, found = Ledger(), list[Cut]()
    kept.mkdir()
    shutil.copy(site.home / "db.sqlite3", kept / "db.sqlite3")

    async def cut_now_and_then() -> None:
        for number in range(cuts):
            while len(ledger.acked) < (number + 1) * asked.wanted / (cuts + 2):
                await asyncio.sleep(0.005)
            acked, sent, home = list(ledger.acked), set(ledger.sent), kept.parent / f"cut-{number}"
            await asyncio.to_thread(powercut.cut, kept, home)
            found.append(Cut(acked, sent | set(ledger.sent), home))

    async def work(ports: Sequence[int]) -> None:
        day = Day(asked.slug, ports, ledger, lambda: len(found) == cuts, seed=7)
        async with asyncio.TaskGroup() as group:
            group.create_task(cut_now_and_then())
            for number, access in enumerate(asked.raters):
                group.create_task(rater(number, access, day=day))

    environment = site.env() | {powercut.KEPT: str(kept)}
    # One process, and nobody else opens the file meanwhile: a checkpoint that is not watched would pass for a loss.
    with webs(environment, log=site.home / "web.log", mutant=build, count=1) as running:
        asyncio.run(work(running.ports))
    return found


def lost(one: Cut, site: Site, asked: Stage) -> int:
    """How many acknowledged rankings the cut took; the database that it left must be whole either way."""
    left = replace(site, home=one.home, database=f"sqlite:///{one.home / 'db.sqlite3'}")
    with closing(sqlite3.connect(one.home / "db.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ledger = Ledger(acked=one.acked, sent=one.sent)
    told = verdict(left, ledger, overlap=asked.overlap, campaign=asked.id)
    assert (told.duplicates, told.over_overlap, told.unexplained) == (0, 0, 0)
    return told.missing


def test_a_power_cut_at_any_moment_takes_nothing_that_was_acknowledged(power: Site, tmp_path):
    asked = stage(power, raters=16, tasks=60, overlap=3)
    found = cuts_of(power, asked, tmp_path / "kept", build="watched", cuts=CUTS)
    losses = [lost(one, power, asked) for one in found]
    print(f"{CUTS} cuts, {sum(len(one.acked) for one in found)} acknowledged before them, lost {losses}")
    assert losses == [0] * CUTS
    assert len(found[-1].acked) > 100
    last = replace(power, home=found[-1].home, database=f"sqlite:///{found[-1].home / 'db.sqlite3'}")
    assert violations(last) == {}


def test_without_waiting_for_the_disk_the_same_cuts_take_rankings(power: Site, tmp_path):
    asked = stage(power, raters=16, tasks=24, overlap=3)
    found = cuts_of(power, asked, tmp_path / "kept", build="unsynced", cuts=4)
    losses = [lost(one, power, asked) for one in found]
    print(f"lost {losses} of {[len(one.acked) for one in found]}")
    assert sum(losses) > 0
