"""Twenty steps of a reward model on a tiny model: a refactor leaves these curves as they are, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import tiny
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"
CURVES = ("loss", "grad_norm", "margin", "eval_loss", "eval_accuracy")


def test_twenty_steps_of_reward_follow_the_stored_curves(tmp_path):
    changes = {"epochs": 2, "batch_size": 2, "eval_every": 10, "max_length": 96}
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(
            tmp_path / "data", tiny.preference_rows(20), tiny.preference_rows(6, first=20)
        ),
    }
    run_dir = tiny.make_run(tmp_path / "run", "reward", RECIPES["reward"].presets["tiny"] | changes, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert max(tiny.curve(run_dir, "loss")) == 20
    tiny.held_to_golden("reward", run_dir, CURVES, folder=GOLDEN)
