"""What a reward model must show on rankings whose truth is known; a language model of two layers reads every text.

What spammers cost is held in `test_rater_reliability`, over several draws of a scorer that trains in a blink.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from scipy.stats import kendalltau

from benchmarks import simulated_rankings as simulated
from tests.training import tiny
from training import contract
from training.mechanics import models, scoring
from training.mechanics.reward.length_bias import length_bias, without_length
from training.mechanics.reward.trust import Verdict, calibration, fitted_noise
from training.recipes.reward import RewardRecipe

pytestmark = pytest.mark.slow(seconds=1)

RECIPE = RewardRecipe.presets["tiny"] | {"epochs": 3, "eval_every": 90, "max_length": 96, "batch_size": 4}
PLANTED = 0.3


@pytest.fixture(scope="module")
def some_tasks():
    return (
        simulated.tasks(120, texts=3, seed=0, fill=False),
        simulated.tasks(350, texts=3, seed=1, first=120, fill=False),
    )


def finished(folder, train, test, *, ranked=None, **recipe):
    inputs = {
        "model": tiny.write_model(folder / "model"),
        "preferences": tiny.write_dataset(folder / "data", train, test, rankings=ranked),
    }
    run_dir = tiny.make_run(folder / "run", "reward", RECIPE | recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir, contract.read_manifest(run_dir)["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.3])
def test_the_truth_is_learned_from_labels_of_which_a_share_is_wrong_and_the_share_is_told(tmp_path, some_tasks, rate):
    train, test = some_tasks
    run_dir, metrics = finished(
        tmp_path, simulated.flipped(train, rate=rate, seed=1), simulated.flipped(test, rate=rate, seed=2)
    )
    assert metrics["eval_n"] == 1050
    assert metrics["eval_accuracy"] >= 0.95 * (1 - rate)
    assert metrics["flip_rate"] == pytest.approx(rate, abs=0.04)
    assert metrics["ece_with_flips"] <= 0.05
    assert not {warning["code"] for warning in tiny.events(run_dir, "warning")} & {"not_calibrated"}

    given = tiny.given(run_dir / contract.OUTPUT, "model")
    texts = [(task, text) for task in test[:60] for text in task.texts]
    talks = [[tiny.user(task.prompt), tiny.assistant(text)] for task, text in texts]
    model = models.load_reward(given, dtype=torch.float32).eval()
    scores = scoring.rewards(model, tiny.tokenizer(), talks, scale=models.RewardScale(0.0, 1.0), batch_size=64)
    assert kendalltau(scores, [simulated.worth(text) for _, text in texts]).statistic >= 0.8


@pytest.mark.slow
def test_labels_by_lot_teach_nothing(tmp_path, some_tasks):
    train, test = some_tasks
    _, metrics = finished(
        tmp_path, simulated.flipped(train, rate=0.5, seed=1), simulated.flipped(test, rate=0.5, seed=2)
    )
    assert metrics["eval_n"] >= 1000
    assert metrics["eval_accuracy"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.slow
def test_a_planted_length_bias_is_found_and_the_refit_is_without_it(tmp_path):
    """Twenty raters give the longer of two texts, a standard deviation apart, 0.3 logits for its length alone."""
    raters = [f"r{i}" for i in range(20)]
    train, test = simulated.tasks(200, texts=3, seed=0), simulated.tasks(100, texts=3, seed=1000, first=200)
    told = {"raters": raters, "length": PLANTED, "std": simulated.spread([*train, *test])}
    ranked, rows = simulated.ranked(train, seed=0, **told)
    held_out = simulated.ranked(test, seed=500, **told)[1]
    _, metrics = finished(tmp_path, rows, held_out, ranked=ranked, epochs=3, debias_length=True)
    assert metrics["length_bias"] == pytest.approx(PLANTED, abs=0.05)
    assert metrics["length_bias_low"] < PLANTED < metrics["length_bias_high"]
    assert abs(metrics["length_bias_left"]) <= metrics["length_bias_scores"] / 2
    assert metrics["length_bias_scores"] >= PLANTED / 2  # it had learned it


# What they are measured by


def rater(
    n: int, *, flips: float, length: float, learned: float, spread: float = 1.5, levels_off: float = 0.0
) -> list[Verdict]:
    """Choices of a rater who likes length, and the scores of a model that knows the merit and learned `learned` of the rest,
    the less of it the further merits lie apart, where it `levels_off`."""
    draw = random.Random(0)
    found = []
    for number in range(n):
        merit, apart = draw.gauss(0, spread), draw.gauss(0, 2**0.5)
        sure = 1 / (1 + math.exp(-(merit + length * apart)))
        first = draw.random() < flips + (1 - 2 * flips) * sure
        sign = 1 if first else -1
        tokens = round(50 * sign * apart)
        margin = merit + learned / (1 + levels_off * abs(merit)) * apart
        found.append(Verdict(f"g{number}", "ada", 1.0, max(tokens, 0), max(-tokens, 0), sign * margin))
    return found


@pytest.mark.parametrize("learned", [0.0, 0.15, 0.3])
def test_what_people_give_for_length_is_found_whatever_the_model_learned_of_it(learned):
    found = length_bias(rater(10_000, flips=0, length=PLANTED, learned=learned))
    assert found is not None
    assert found.people == pytest.approx(PLANTED, abs=0.05)
    assert found.of_scores == pytest.approx(learned, abs=0.05)
    assert found.low < PLANTED < found.high and found.high - found.low < 0.15
    left = length_bias(without_length(rater(10_000, flips=0, length=PLANTED, learned=learned), found.slope))
    assert left is not None and abs(left.of_scores) < 1e-6


def test_length_that_counts_most_between_close_texts_is_found_in_full():
    """The slope over all comparisons is far below what it is between close ones, in which choices show what people give."""
    found = length_bias(rater(20_000, flips=0, length=PLANTED, learned=PLANTED, spread=3, levels_off=0.5))
    assert found is not None
    assert found.of_scores < 0.2
    assert found.people == pytest.approx(PLANTED, abs=0.03)


def test_no_temperature_makes_up_for_flipped_labels_and_a_floor_does():
    told = rater(6000, flips=0.2, length=0, learned=0, spread=5)
    sharp = [replace(one, margin=4 * one.margin) for one in told]
    found = calibration(sharp)
    assert found["ece_calibrated"] > 0.05
    assert found["ece_with_flips"] < 0.03
    temperature, rate = fitted_noise([one.margin for one in sharp])
    assert rate == pytest.approx(0.2, abs=0.02) and temperature == pytest.approx(4, rel=0.35)
    assert fitted_noise([one.margin for one in rater(6000, flips=0, length=0, learned=0)])[1] < 0.03


def test_texts_that_are_all_as_long_have_no_length_bias():
    assert length_bias([Verdict("g", "ada", 1.0, 10, 10, 1.0)]) is None
    assert length_bias([]) is None
