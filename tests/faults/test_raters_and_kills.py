"""Raters over HTTP while web processes are killed under them: what was acknowledged is there, once, and nothing else is."""

from __future__ import annotations

import pytest

from tests.faults.houses import Houses, stage
from tests.faults.runs_of_raters import a_day, deploys, kills

pytestmark = pytest.mark.slow


def test_kills_double_clicks_second_tabs_and_lunches_lose_and_double_nothing(houses: Houses, tmp_path):
    site = houses.new(tmp_path / "home")
    told = a_day(site, stage(site, raters=40, tasks=100, overlap=3), seed=1, faults=kills(3))
    print(told.verdict, told.ledger.statuses, told.ledger.lost, round(told.seconds, 1))
    assert told.verdict.is_sound
    assert told.verdict.acked >= 300
    assert told.verdict.found == told.verdict.acked + told.verdict.unacked
    assert told.violations == {}
    assert told.ledger.lost > 0, "no kill met a request"
    assert 500 not in told.ledger.statuses


def test_a_server_that_is_told_to_end_finishes_what_it_does_and_goes(houses: Houses, tmp_path):
    site = houses.new(tmp_path / "home")
    statuses: list[int] = []
    told = a_day(site, stage(site, raters=16, tasks=40, overlap=2), seed=4, faults=deploys(4, statuses))
    print(told.verdict, told.ledger.statuses, told.ledger.lost)
    assert statuses == [0] * 4
    assert told.verdict.is_sound
    assert told.verdict.acked >= 80
    assert told.violations == {}


@pytest.mark.parametrize(("mutant", "counted", "violated"), [
    ("unlocked", "over_overlap", "overlap"),
    ("keyless", "duplicates", "one_row_a_submission"),
    ("forgetful", "missing", ""),
])  # fmt: skip
def test_the_count_finds_a_build_that(houses: Houses, tmp_path, mutant, counted, violated):
    site = houses.new(tmp_path / "home", mutant=mutant)
    told = a_day(site, stage(site, raters=16, tasks=12, overlap=3), seed=2, mutant=mutant, patience_s=2, processes=3)
    print(told.verdict, told.ledger.statuses)
    assert getattr(told.verdict, counted) > 0
    assert not told.verdict.is_sound
    assert not violated or told.violations[violated] > 0
