"""Twenty steps of SFT on a tiny model, whole and by adapters: a refactor leaves these curves as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import tiny
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("sft", {}),
        ("sft-lora", {"adapter": "lora"}),
        ("sft-prompt", {"adapter": "prompt", "learning_rate": 3e-2}),
        ("sft-prefix", {"adapter": "prefix", "learning_rate": 3e-2}),
    ],
)
def test_twenty_steps_of_sft_follow_the_stored_curves(name, more, tmp_path):
    changes = more | {"epochs": 4, "batch_size": 8, "eval_every": 10, "max_length": 96, "sample_tokens": 0}
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(
            tmp_path / "data", tiny.instruction_rows(40), tiny.instruction_rows(8, first=40)
        ),
    }
    run_dir = tiny.make_run(tmp_path / "run", "sft", RECIPES["sft"].presets["tiny"] | changes, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert max(tiny.curve(run_dir, "loss")) == 20
    tiny.held_to_golden(
        name, run_dir, ("loss", "grad_norm", "mean_token_accuracy", "eval_loss", "eval_bits_per_byte"), folder=GOLDEN
    )
