"""What a tiny critic says of twenty-four pairs: a refactor leaves these curves as they are, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import judged, tiny
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"


def test_a_critics_labels_follow_the_stored_curves(tmp_path):
    inputs = judged.inputs(tmp_path / "given", count=8) | {"model": judged.critic(tmp_path / "model")}
    run_dir = tiny.make_run(tmp_path / "run", "judge", RECIPES["judge"].presets["tiny"] | {"abstain": 0.0}, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    tiny.held_to_golden("judge", run_dir, ("flip_rate", "mean_confidence", "position_bias"), folder=GOLDEN)
