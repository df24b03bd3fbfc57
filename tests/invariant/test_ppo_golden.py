"""Twelve rollouts of PPO on a tiny model: a refactor leaves these curves as they are, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"


def test_twelve_rollouts_of_ppo_follow_the_stored_curves(tmp_path):
    changes = {"episodes": 96, "batch_size": 8, "minibatch_size": 4, "epochs": 2, "max_new_tokens": 8}
    run_dir = tiny.make_run(tmp_path / "run", "ppo", RECIPES["ppo"].presets["tiny"] | changes, ppo_inputs(tmp_path))

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert max(tiny.curve(run_dir, "reward")) == 12
    tiny.held_to_golden(
        "ppo",
        run_dir,
        ("reward", "kl", "entropy", "length", "policy_loss", "value_loss", "grad_norm", "kl_coefficient"),
        folder=GOLDEN,
    )
