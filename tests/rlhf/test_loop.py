"""The whole loop without people, at its smallest: every step is done, measured and told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 180


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What `manage.py loop --scale tiny` says of itself, and its home."""
    home = tmp_path_factory.mktemp("loop")
    command = [sys.executable, str(ROOT / "manage.py"), "loop", "--scale", "tiny", "--home", str(home), "--json"]
    environment = os.environ | {"STEADYHAND_HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, timeout=4 * LIMIT_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), home


@pytest.mark.slow(seconds=40)
def test_the_tiny_loop_goes_from_a_corpus_to_compared_policies_in_three_minutes(told):
    facts, _ = told
    steps = [step["name"] for step in facts["steps"]]
    assert len(steps) == 10
    assert steps[0] == "Tokenizer of the addresses"
    assert steps[4] == "Rankings by simulated raters"
    assert all(step["size"] and step["seconds"] > 0 for step in facts["steps"])
    assert facts["seconds"] < LIMIT_S


@pytest.mark.slow
def test_both_policies_are_compared_with_intervals_on_held_out_prompts(told):
    facts, _ = told
    assert [policy["method"] for policy in facts["policies"]] == ["DPO", "PPO"]
    for policy in facts["policies"]:
        assert policy["num_prompts"] >= 8
        assert policy["utility_difference_low"] < policy["utility_difference"] < policy["utility_difference_high"]
        assert 0 <= policy["kl"] < 10


@pytest.mark.slow
def test_a_loop_that_is_started_again_in_its_home_does_nothing_twice(told):
    facts, home = told
    command = [sys.executable, str(ROOT / "manage.py"), "loop", "--scale", "tiny", "--home", str(home), "--json"]
    environment = os.environ | {"STEADYHAND_HOME": str(home)}
    again = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, timeout=LIMIT_S)
    assert again.returncode == 0, again.stderr
    repeated = json.loads(again.stdout)
    assert repeated["policies"] == facts["policies"]
    assert repeated["steps"] == facts["steps"]
    assert repeated["seconds"] < facts["seconds"] / 2
