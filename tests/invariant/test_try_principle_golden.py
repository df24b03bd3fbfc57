"""One principle on one prompt by rules: a refactor answers and revises the same, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import constituted as made
from tests.training import tiny
from training import contract

GOLDEN = Path(__file__).parent / "golden"


def test_harm_and_length_of_a_trial_are_the_stored_ones(tmp_path):
    inputs = {"model": made.write_harmful_model(tmp_path / "model")}
    recipe = {
        "prompt": next(iter(made.HARMFUL)), "critique": "Is it kind?", "revision": "Make it kind.", "critic": "rules",
        "comparison": "Which is kinder?", "temperature": 0.1, "max_new_tokens": 80, "bf16": False,
    }  # fmt: skip
    run_dir = tiny.make_run(tmp_path / "run", "try_principle", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    tiny.held_to_golden("try_principle", run_dir, ("harmfulness", "words", "kept"), folder=GOLDEN)
