"""Five rounds by rules on a tiny model's harmful answers: a refactor draws and revises the same, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import constituted as made
from tests.training import tiny
from training import contract

GOLDEN = Path(__file__).parent / "golden"


def test_harm_and_length_follow_the_stored_curves_round_by_round(tmp_path):
    inputs = {
        "model": made.write_harmful_model(tmp_path / "model"),
        "prompts": made.write_prompts(tmp_path / "prompts", list(made.HARMFUL)),
        "constitution": made.write_constitution(tmp_path / "constitution"),
    }
    recipe = {"critic": "rules", "rounds": 5, "samples": 2, "temperature": 0.1, "max_new_tokens": 80, "bf16": False}
    run_dir = tiny.make_run(tmp_path / "run", "constitutional", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    # How many words there are follows from which principle was drawn: each has a safe sentence of its own.
    tiny.held_to_golden("constitutional", run_dir, ("harmfulness", "words", "kept", "unchanged"), folder=GOLDEN)
