"""The check before fine-tuning on a tiny model: what it measures stays as it is stored."""

from __future__ import annotations

from pathlib import Path

from tests.training import tiny
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"


def test_a_preflight_measures_the_stored_bits(tmp_path):
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "instructions": tiny.write_dataset(
            tmp_path / "data", tiny.instruction_rows(40), tiny.instruction_rows(8, first=40)
        ),
    }
    run_dir = tiny.make_run(tmp_path / "run", "preflight", RECIPES["preflight"].presets["tiny"], inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    names = ("zero_shot_bits_per_byte", "few_shot_bits_per_byte", "repeated_rows", "alike_rows", "leaked_questions")
    tiny.held_to_golden("preflight", run_dir, names, folder=GOLDEN)
