"""Raters at once, on a SQLite file and on PostgreSQL: nothing is over-assigned, doubled or lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.annotation.arrange import a_file, a_row
from tests.servers import free_port, postgres

pytestmark = pytest.mark.slow(seconds=2)  # each: all of them wait for one crowd on either database

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Site:
    """A product with a database of its own."""

    home: Path
    database: str

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ, "STEADYHAND_HOME": str(self.home), "STEADYHAND_DATABASE_URL": self.database,
            "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        }  # fmt: skip

    def python(self, *arguments: str) -> str:
        done = subprocess.run([sys.executable, *arguments], env=self.env, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def manage(self, *arguments: str) -> Any:
        return json.loads(self.python("manage.py", *arguments, "--json"))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request, tmp_path_factory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        url = f"sqlite:///{home / 'db.sqlite3'}" if request.param == "sqlite" else stack.enter_context(postgres()).url
        made = Site(home, url)
        made.python("manage.py", "migrate", "-v0")
        yield made


@pytest.fixture(scope="module")
def told(site) -> dict[str, Any]:
    return json.loads(site.python("-m", "tests.annotation.races"))


def test_of_twelve_who_ask_at_once_three_get_the_task_that_three_may_rank(told):
    assert told["one_task_for_all"] == [{"leases": 3, "none": 9, "slots": 3}] * 5


def test_of_workers_that_take_in_a_runs_questions_at_once_one_makes_the_tasks(told):
    for scene in told["questions_taken_in_at_once"]:
        assert scene["questions"] == scene["tasks"] == 3
        assert scene["texts"] == 12
        assert set(scene["refused"]) <= {"IntegrityError", "FileNotFoundError"}, scene


def test_many_tabs_of_one_rater_show_one_task_and_fetch_one_ahead(told):
    assert told["one_rater_many_tabs"] == {"different": 1, "different_ahead": 1, "live": 2}


def test_eight_clicks_at_once_store_one_ranking_and_answer_alike(told):
    assert told["double_submits"]["answers"] == told["double_submits"]["stored"]
    assert len(told["double_submits"]["stored"]) == 1


def test_of_different_orders_sent_at_once_one_is_stored_and_the_others_are_told(told):
    assert told["double_submits"]["tabs"] == {"row": 2, "already_ranked": 6}  # two tabs sent the order that was stored


def test_of_corrections_sent_at_once_one_supersedes(told):
    assert told["double_submits"]["fixes"] == {"row": 1, "superseded": 7}
    assert told["double_submits"]["live"] == 1


def test_on_a_busy_day_no_task_is_held_by_more_than_are_wanted(told):
    day = told["a_busy_day"]
    assert all(isinstance(count, int) for count in day["days"]), day["days"]
    assert day["looks"] > 10
    assert day["most"] == 3
    assert (day["free_but_held"], day["taken_by_nobody"]) == (0, 0)


def test_on_a_busy_day_every_acknowledged_ranking_is_stored_once(told):
    day = told["a_busy_day"]
    assert day["acknowledged"] == day["stored"] > 60
    assert day["twice"] == 0
    assert day["states"]["expired"] > 0


def test_a_rater_who_is_paused_while_she_submits_keeps_her_ranking_and_gets_no_more(told):
    for scene in told["pausing_and_submitting"]:
        assert (scene["stored"], scene["standing"], scene["pauses"], scene["on_her_desk"]) == (1, "paused", 1, 0), scene
        assert (scene["free_but_held"], scene["taken_by_nobody"]) == (0, 0), scene
        assert scene["refused"].count("bad_standing") == 1
        assert set(scene["refused"]) <= {"bad_standing", "paused"}, scene


def test_rankings_that_are_stored_at_once_both_count_in_their_tasks_agreement(told):
    agreement = told["two_rankings_at_once"]
    assert len(agreement) == 10
    assert None not in agreement


def test_gold_that_all_ask_for_at_once_is_laid_out_for_each(told):
    golden = told["gold_for_all_at_once"]
    assert golden["days"] == [6] * 8
    assert golden["slots"] == golden["different"] > 8
    assert golden["anothers"] == 0


def test_a_link_for_five_lets_in_five_of_many_at_once(told):
    link = told["a_link_for_five"]
    assert link["others"] == ["not_invited"]
    assert link["joined"] == link["members"] == link["redeemed"] == link["uses"] == 5
    assert link["accounts_for_nothing"] == 0


def test_one_import_that_is_clicked_many_times_is_done_once(told):
    assert told["one_import_twice"] == {"reports": {"50": 1, "import_not_waiting": 3}, "prompts": 50}


def test_where_the_last_two_differ_at_once_one_rater_is_added_and_never_more_than_the_maximum(told):
    scene = told["the_last_two_differ"]
    assert scene["refused"] == []
    assert scene["slots"] == [3, 3] * 8
    assert scene["held"] == 3


def test_with_skips_and_rankings_at_once_everybody_is_given_all_that_she_may_rank(told):
    scene = told["skips_and_next_at_once"]
    assert set(scene["days"]) == {"int"}, scene
    assert scene["left"] == [0] * 6
    assert scene["held"] == 3


def test_simulated_raters_rank_an_imported_campaign_over_http(site, tmp_path):
    path = a_file(tmp_path / "r.jsonl", *(a_row(n) for n in range(6)))
    made = site.manage("import_rankings", str(path), "--campaign", "Theirs", "--overlap", "2", "--open")
    assert (made["num_tasks"], made["num_rankings"]) == (6, 0)
    done = site.manage("simulate_raters", "--campaign", "theirs", "--raters", "3", "--seed", "1", "--noise", "0")
    assert (done["rankings"], done["simulated"]) == (12, True)
    assert "Gaussian noise of standard deviation 0" in done["utility"]
    frozen = site.manage("snapshot", "theirs", "theirs-1")
    assert (frozen["num_rankings"], frozen["simulated"]) == (12, True)
    assert frozen["comparisons"] == 12 * 3


def test_simulated_raters_may_come_to_a_server_that_runs(site, tmp_path):
    path = a_file(tmp_path / "r.jsonl", *(a_row(n) for n in range(10, 13)))
    site.manage("import_rankings", str(path), "--campaign", "Served", "--open")
    port = free_port()
    command = [sys.executable, "-m", "daphne", "-v0", "-b", "127.0.0.1", "-p", str(port), "config.asgi:application"]
    with subprocess.Popen(command, env=site.env, cwd=ROOT, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(port)
            done = site.manage("simulate_raters", "--campaign", "served", "--url", f"http://127.0.0.1:{port}")
        finally:
            server.terminate()
    assert done["rankings"] == 3


def wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("the server did not start")
