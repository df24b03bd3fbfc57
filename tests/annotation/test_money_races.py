"""Raters at once who use a budget up, on a SQLite file and on PostgreSQL: it is never passed, and every unit is accounted for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.annotation.test_races import site

__all__ = ["site"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(site) -> dict[str, Any]:
    return json.loads(site.python("-m", "tests.annotation.money_races"))


def test_of_twelve_who_ask_at_once_three_get_what_is_left_for_three(told):
    assert told["twelve_ask_for_the_last_of_it"] == [{"leases": 3, "refused": 9, "reserved": 30_000}] * 5


def test_at_no_moment_is_more_spent_than_the_budget_allows(told):
    day = told["until_it_is_spent"]
    assert day["looks"] > 5
    assert day["most"] <= day["budget"]
    assert day["spent"] + day["reserved"] <= day["budget"]


def test_raters_go_on_until_the_next_lease_could_pass_it(told):
    day = told["until_it_is_spent"]
    assert set(day["days"]) == {"spent"}, day["days"]
    assert day["budget"] - day["spent"] - day["reserved"] < 6_000  # sixty seconds at 36 an hour
    assert day["rankings"] > 30


def test_what_is_spent_is_the_sum_of_the_rows(told):
    assert told["until_it_is_spent"]["spent"] == told["until_it_is_spent"]["rows"]
