"""A report tells equal models as equal and better ones as better, with intervals that mean what they say."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.training import tiny
from training import contract
from training.mechanics import models
from training.mechanics.prompt_statistics import Sides, compare, gain_in_sd, interval, mean_of, win_rate
from training.methods import evaluate
from training.recipes.utility import brief

RECIPE = {"samples": 3, "max_new_tokens": 24, "batch_size": 16, "bf16": False, "utility": "brief"}
LETTER = "a"


def prompt_rows(first: int, last: int):
    return [{"id": f"p{i}", "messages": [tiny.user(f"Say {i}")]} for i in range(first, last)]


def lean(folder, base: contract.Input) -> contract.Input:
    """A model that says "a" more often than the base: its embedding leans to what the model mostly thinks."""
    words = models.load_tokenizer(base)
    model = models.load_causal(base, dtype=torch.float32)
    letter = words.convert_tokens_to_ids(LETTER)
    ids = torch.tensor([words(f"Say {i}")["input_ids"] for i in range(9)])
    with torch.no_grad():
        hidden = model.model(ids).last_hidden_state.mean((0, 1))
        model.get_input_embeddings().weight[letter] += 1.5 * hidden / hidden.norm()
    models.publish_model(model, words, folder)
    return tiny.given(folder, "model")


def reward_for_letters(folder) -> contract.Input:
    """A reward model trained on the tiny preferences, which like "a"."""
    inputs = {
        "model": tiny.write_model(folder / "base"),
        "preferences": tiny.write_dataset(folder / "pairs", tiny.preference_rows(24)),
    }
    recipe = {"lora": None, "epochs": 3, "batch_size": 16, "learning_rate": 2e-3, "max_length": 96, "bf16": False}
    run_dir = tiny.make_run(folder / "reward", "reward", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return tiny.given(run_dir / "output", "model")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    base = tiny.write_model(folder / "model", seed=1)
    return {
        "reference": base,
        "policy": lean(folder / "lean", base),
        "prompts": tiny.write_dataset(folder / "prompts", prompt_rows(0, 5), prompt_rows(5, 25)),
        "reward": reward_for_letters(folder),
    }


def finished(folder, inputs, **changes):
    run_dir = tiny.make_run(folder, "evaluate", RECIPE | changes, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir, contract.read_manifest(run_dir)["metrics"]


@pytest.fixture(scope="module")
def whole(given, tmp_path_factory):
    return finished(tmp_path_factory.mktemp("runs") / "whole", given)


def test_a_model_beside_itself_differs_in_nothing(given, tmp_path):
    _, metrics = finished(tmp_path / "run", given | {"policy": given["reference"]})
    assert metrics["kl"] == metrics["kl_se"] == 0
    for name in ("reward", "utility", "length", "ended"):
        assert metrics[f"{name}_difference"] == metrics[f"{name}_difference_low"] == 0
    assert metrics["utility_gain_sd"] == 0
    assert metrics["win_rate"] == pytest.approx(0.5)


def test_a_policy_that_does_what_the_reward_likes_wins(whole):
    run_dir, metrics = whole
    rows = pq.read_table(run_dir / "output/rows.parquet").to_pylist()
    says = {side: np.mean([row[f"{side}_text"].count(LETTER) for row in rows]) for side in ("policy", "reference")}
    assert says["policy"] > says["reference"]
    assert metrics["reward_difference_low"] > 0 and metrics["win_rate_low"] > 0.5
    assert metrics["kl_low"] > 0 and metrics["kl"] > metrics["kl_se"] > 0


def test_only_held_out_prompts_are_asked_and_rows_stand_side_by_side(whole):
    run_dir, metrics = whole
    rows = pq.read_table(run_dir / "output/rows.parquet").to_pylist()
    assert [row["prompt_id"] for row in rows[::3]] == [f"p{i}" for i in range(5, 25)]
    assert metrics["num_prompts"] == 20 and len(rows) == 60
    row = rows[4]
    assert row["prompt"] == "Say 6" and row["policy_utility"] == pytest.approx(brief(row["policy_text"]))
    for name in ("reward", "utility", "length", "ended"):
        for side in ("policy", "reference"):
            assert metrics[f"{name}_{side}"] == pytest.approx(np.mean([row[f"{side}_{name}"] for row in rows]))
    assert metrics["kl"] == pytest.approx(np.mean([row["kl"] for row in rows]))


def test_the_report_says_what_the_manifest_says(whole):
    run_dir, metrics = whole
    assert json.loads((run_dir / "output/report.json").read_text()) == metrics
    assert all(low in metrics for low in ("kl_low", "utility_gain_sd_low", "utility_gain_sd_high", "win_rate_high"))
    assert len(tiny.events(run_dir, "sample")) == 6


def test_interrupted_between_phases_it_ends_with_the_same_numbers(whole, given, tmp_path):
    run_dir = tiny.same_run(whole[0], tmp_path / "again")
    context = tiny.open_run(run_dir)
    emit = context.events.emit

    def stop_at_the_reference(kind, payload):
        emit(kind, payload)
        if payload.get("phase") == "reference answers":
            context.stop_requested = True

    context.events.emit = stop_at_the_reference
    with pytest.raises(tiny.program.Stopped):
        evaluate.run(context)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert contract.read_manifest(run_dir)["sha256"] == contract.read_manifest(whole[0])["sha256"]


def test_without_a_reward_model_there_is_no_reward(given, tmp_path):
    inputs = {name: value for name, value in given.items() if name != "reward"}
    run_dir, metrics = finished(tmp_path / "run", inputs, samples=1, utility="none")
    assert not [name for name in metrics if name.startswith(("reward", "win_rate", "utility"))]
    assert "policy_reward" not in pq.read_schema(run_dir / "output/rows.parquet").names


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """Prompts differ by far more than the answers to one of them: an interval over answers would cover half as often."""
    lot = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        prompts = lot.normal(0.3, 1, size=(40, 1))
        values = (prompts + lot.normal(0, 0.1, size=(40, 4))).mean(axis=1)
        low, high = interval(40, mean_of(values), seed=trial)
        covered += low <= 0.3 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_differences_are_paired_and_wins_counted_by_hand():
    sides = Sides(np.array([[2.0, 3.0], [11.0, 12.0]]), np.array([[1.0, 3.0], [10.0, 10.0]]))
    told = compare("x", sides, seed=0)
    assert told["x_difference"] == pytest.approx(1.0)
    assert told["x_difference_low"] == pytest.approx(0.5) and told["x_difference_high"] == pytest.approx(1.5)
    assert win_rate(sides, seed=0)["win_rate"] == pytest.approx(((1 + 0 + 1 + 0.5) / 4 + 1) / 2)
    deviation = np.std([1, 3, 10, 10])
    assert gain_in_sd("x", sides, seed=0)["x_gain_sd"] == pytest.approx(1 / deviation)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("The capital of France is Paris, a city on the Seine.", "The capital of France is Paris, a city on the"),
        ("Sleep at the same hour each night.", ""),
        ("A walk in the morning helps you to think. " * 1, "A walk in the morning helps you to think. " * 6),
        ("word " * 24 + "end.", "word " * 200 + "end."),
    ],
)
def test_the_stated_utility_prefers_what_is_brief_complete_and_not_repeated(better, worse):
    assert brief(better) > brief(worse)


def test_the_stated_utility_is_its_formula():
    text = " ".join(f"w{i}" for i in range(24)) + " end."
    assert brief(text) == pytest.approx(1.0)
    assert brief("one two three one two three") == pytest.approx(-np.log(26 / 7) - 2 * 1 / 4)
    assert brief("") == pytest.approx(-np.log(26))
