"""The deeds of tests/annotation/test_any_order_of_deeds.py on both kinds of database, and on builds that they must find out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.houses import Houses
from tests.faults.sites import ROOT, Site

pytestmark = pytest.mark.slow


def done(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.faults.deeds", *arguments]
    return subprocess.run(command, env=site.env(), cwd=ROOT, capture_output=True, text=True)


def test_whatever_is_done_in_whatever_order(houses: Houses, tmp_path):
    told = done(houses.new(tmp_path / "home"), "20")
    assert told.returncode == 0, told.stderr


def test_some_order_finds_a_build_that_gives_a_late_submission_a_slot_that_is_taken(houses: Houses, tmp_path):
    told = done(houses.new(tmp_path / "home", mutant="unhoused"), "60", "unhoused")
    assert told.returncode == 1
    broken = ("no_task_is_held_by_more_than_are_wanted", "a_slot_is_free_where_nobody_holds_it")
    assert any(name in told.stderr for name in broken), told.stderr[-3000:]
