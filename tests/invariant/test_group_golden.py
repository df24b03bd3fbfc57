"""Twelve rollouts of RLOO, GRPO and online DPO on a tiny model: a refactor leaves these curves as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"
CHANGES = {"episodes": 96, "batch_size": 8, "minibatch_size": 4, "epochs": 2, "max_new_tokens": 8}


@pytest.mark.parametrize("method", ["rloo", "grpo", "online_dpo"])
def test_twelve_rollouts_follow_the_stored_curves(method, tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", method, RECIPES[method].presets["tiny"] | CHANGES, ppo_inputs(tmp_path))

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert max(tiny.curve(run_dir, "reward")) == 12
    tiny.held_to_golden(
        method, run_dir, ("reward", "kl", "entropy", "length", "policy_loss", "grad_norm"), folder=GOLDEN
    )
