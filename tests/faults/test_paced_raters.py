"""Raters at their own pace, with dashboards looking on: each gets her next task, and nobody is refused."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults import paced
from tests.faults.houses import Houses, stage
from tests.faults.runs_of_raters import violations
from tests.faults.webs import webs

pytestmark = pytest.mark.slow


def test_raters_who_think_get_their_next_task_and_no_error(houses: Houses, tmp_path):
    """The times are measured by `make bench-paced`; here the machine may be busy."""
    site = houses.new(tmp_path / "home")
    asked = stage(site, raters=12, tasks=60, overlap=3, researchers=3)
    with webs(site.env(), log=site.home / "web.log") as running:
        told = asyncio.run(paced.work(asked, running, paced.Pace(think_s=2.0, seconds=6.0, look_s=2.0)))
        log = site.home / "db.sqlite3-wal"
        assert site.server or log.stat().st_size > 0, "the log was folded in, and will be after each request"
    assert told.statuses == {
        200: 12 * (1 + 3 + 3) + 3 * 3
    }  # a task fetched ahead before the first and after each submit
    assert (len(told.submits), len(told.looks), told.lost) == (36, 9, 0)
    [(ranked,)] = site.sql("SELECT count(*) FROM annotation_ranking")
    assert ranked == 36
    assert violations(site) == {}
