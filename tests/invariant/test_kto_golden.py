"""Twenty steps of KTO on a tiny model: a refactor leaves these curves as they are, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import tiny
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"


def test_twenty_steps_of_kto_follow_the_stored_curves(tmp_path):
    changes = {"epochs": 4, "batch_size": 8, "eval_every": 10, "max_length": 96, "sample_tokens": 0}
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(
            tmp_path / "data", tiny.preference_rows(20), tiny.preference_rows(6, first=20)
        ),
    }
    run_dir = tiny.make_run(tmp_path / "run", "kto", RECIPES["kto"].presets["tiny"] | changes, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert max(tiny.curve(run_dir, "loss")) == 20
    tiny.held_to_golden(
        "kto",
        run_dir,
        ("loss", "grad_norm", "kl", "rewards/desirable", "rewards/undesirable", "eval_loss", "eval_accuracy"),
        folder=GOLDEN,
    )
