"""Real judgements of three makes train alike: rankings of four with ties, votes of three raters, and plain comparisons."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks.real_rankings import fine_grained, harmless, panda
from tests.training import tiny
from training import contract
from training.recipes.reward import RewardRecipe

RECIPE = RewardRecipe.presets["tiny"] | {"epochs": 1, "batch_size": 4, "max_length": 400, "rater_weights": "estimated"}
TRAIN, TEST = 40, 16


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize(
    ("of", "has_ties", "has_raters", "whole"),
    [(fine_grained, True, False, True), (panda, True, True, True), (harmless, False, False, False)],
)
def test_real_judgements_train_from_chance(tmp_path, data, of, has_ties, has_raters, whole):
    prompts = [some for some in of(data) if sum(len(one["text"]) for one in some[0]["completions"]) < 1200]
    random.Random(0).shuffle(prompts)
    rows = [
        [row for one in some for ranking in one for row in tiny.comparisons_of(ranking, share=1 / len(one))]
        for some in (prompts[:TRAIN], prompts[TRAIN : TRAIN + TEST])
    ]
    rankings = [one for some in prompts[:TRAIN] for one in some] if whole else None
    model = tiny.given(data / "stories260k", "model")
    inputs = {"model": model, "preferences": tiny.write_dataset(tmp_path / "data", *rows, rankings=rankings)}
    run_dir = tiny.make_run(tmp_path / "run", "reward", RECIPE, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert ("tie_weight" in metrics) == has_ties
    assert ("ceiling_fraction" in metrics) == has_raters
    assert metrics["eval_accuracy_low"] <= metrics["eval_accuracy"] <= metrics["eval_accuracy_high"]
    assert tiny.curve(run_dir, "eval_loss")[0] == pytest.approx(math.log(2), abs=0.3)
    warned = {warning["code"] for warning in tiny.events(run_dir, "warning")}
    assert ("no_overlap" in warned) == (not has_raters)
