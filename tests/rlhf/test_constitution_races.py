"""People at one draft at once, on a SQLite file and on PostgreSQL: one of them wins, the others are told, nothing is half."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rlhf.constitution_races import SCENES
from tests.servers import postgres

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow(seconds=3), pytest.mark.django_db(transaction=True)]
Play = Callable[[str], Any]


@pytest.fixture(scope="module")
def told_by_postgres(tmp_path_factory) -> Iterator[dict[str, Any]]:
    with postgres() as server:
        env = {
            **os.environ, "STEADYHAND_HOME": str(tmp_path_factory.mktemp("home")), "STEADYHAND_DATABASE_URL": server.url,
            "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.rlhf.constitution_races"]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)


@pytest.fixture(params=["sqlite", "postgres"])
def play(request) -> Play:
    """What came of a scene: on SQLite, the tests' own database, it is played here; on PostgreSQL all were, one after another."""
    if request.param == "postgres":
        told = request.getfixturevalue("told_by_postgres")
        return lambda name: told[name]
    return lambda name: SCENES[name]()


def test_one_of_four_who_publish_at_once_does_and_three_are_told(play):
    assert play("publishing_at_once") == [{"done": 1, "published": 3}] * 3


def test_a_draft_that_is_saved_while_it_is_published_is_one_or_the_other(play):
    for scene in play("saving_while_publishing"):
        assert scene["results"]["done"] == 1 and sum(scene["results"].values()) == 3
        assert set(scene["results"]) <= {"done", "published", "edited_meanwhile"}
        assert scene["num_principles"] in ((2,) if scene["state"] == "published" else (7, 20))


def test_only_one_draft_is_begun(play):
    assert play("beginning_at_once") == [{"results": {"done": 1, "has_draft": 3}, "drafts": 1, "number": 2}] * 3


def test_a_draft_that_is_let_go_while_it_is_saved_is_gone_or_saved(play):
    assert play("dropping_while_saving") == [{"done": 1, "edited_meanwhile": 1}] * 3


def test_one_file_brought_four_times_at_once_makes_one_draft(play):
    told = play("one_file_twice")
    assert told["versions"] == 1 and told["results"]["done"] == 1
    assert set(told["results"]) <= {"done", "has_draft", "name_taken"}


def test_every_frozen_version_is_what_it_says_and_no_folder_is_left_over(play):
    play("publishing_at_once")
    told = play("at_the_end")
    assert told["broken"] == {} and told["artifacts"][0] > 0 and len(set(told["artifacts"])) == 1


def test_votes_that_four_open_at_once_are_one_campaign(play):
    assert play("opening_votes_at_once") == {"results": {"done": 4}, "campaigns": 1, "tasks": 8}
