"""Twenty steps on planted entities, by an adapter: a refactor leaves these curves as they are, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import labelled, tiny
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"
CURVES = ("loss", "grad_norm", "eval_loss", "eval_f1")


def test_twenty_steps_of_finetune_follow_the_stored_curves(tmp_path):
    changes = {"task": "entities", "lora": {"r": 4}, "epochs": 1, "batch_size": 4, "eval_every": 10}
    inputs = {
        "model": labelled.write_bert(tmp_path / "model"),
        "labelled": tiny.write_dataset(tmp_path / "data", labelled.named(80), labelled.named(20, seed=1)),
    }
    run_dir = tiny.make_run(tmp_path / "run", "finetune", RECIPES["finetune"].presets["tiny"] | changes, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert max(tiny.curve(run_dir, "loss")) == 20
    tiny.held_to_golden("finetune", run_dir, CURVES, folder=GOLDEN)
