"""A network that cuts, resets, delays and truncates: a rater is never told "saved" of what is not, and ends up saved."""

from __future__ import annotations

import pytest

from tests.faults.houses import Houses, stage
from tests.faults.runs_of_raters import a_day

pytestmark = pytest.mark.slow


def test_on_a_bad_network_whoever_was_told_saved_has_a_row_and_everybody_gets_there(houses: Houses, tmp_path):
    site = houses.new(tmp_path / "home")
    told = a_day(site, stage(site, raters=32, tasks=55, overlap=3), seed=5, is_network_bad=True)
    print(told.verdict, told.befell, told.ledger.lost)
    assert told.verdict.is_sound
    assert told.verdict.acked >= 165
    assert told.violations == {}
    assert min(told.befell[fate] for fate in ("cut", "reset", "truncated", "slow")) > 0
    assert told.ledger.lost == told.befell["cut"] + told.befell["reset"] + told.befell["truncated"]


@pytest.mark.parametrize(("mutant", "counted"), [("keyless", "duplicates"), ("forgetful", "missing")])
def test_a_retry_finds_out_a_build_that(houses: Houses, tmp_path, mutant, counted):
    site = houses.new(tmp_path / "home", mutant=mutant)
    asked = stage(site, raters=16, tasks=18, overlap=2)
    told = a_day(site, asked, seed=6, mutant=mutant, is_network_bad=True, patience_s=2, processes=1)
    print(told.verdict, told.befell)
    assert getattr(told.verdict, counted) > 0
