"""Several datasets of instructions: shares that hold at every step, an order without a state, figures by dataset, forgetting."""

from __future__ import annotations

import pytest

from tests.training import tiny
from training import contract
from training.contract import Failure
from training.mechanics.instructions.mixture import MixedRows, Part, shares_of
from training.recipes import RECIPES
from training.recipes.sft import SftRecipe

PARTS = [Part("many", range(90), 0.25), Part("few", range(90, 100), 0.75)]


def test_shares_follow_weights_or_sizes_at_a_temperature():
    assert shares_of([90, 10], weights=(1, 3), temperature=1.0) == [0.25, 0.75]
    assert shares_of([90, 10], weights=(), temperature=1.0) == [0.9, 0.1]
    assert shares_of([90, 10], weights=(), temperature=2.0) == pytest.approx([0.75, 0.25])
    with pytest.raises(Failure, match="3 weights for 2 datasets"):
        shares_of([90, 10], weights=(1, 1, 1), temperature=1.0)


def test_after_any_number_of_rows_each_dataset_has_given_its_share_to_within_one():
    mixed = MixedRows(PARTS, [1] * 100, epochs=3, seed=0)
    for count in range(1, 301):
        seen = mixed.seen(count)
        assert abs(seen["few"] - 0.75 * count) <= 1 and seen["many"] + seen["few"] == count


def test_a_pack_counts_by_the_conversations_in_it():
    talks = [3] * 90 + [1] * 10
    seen = MixedRows(PARTS, talks, epochs=2, seed=0).seen(200)
    assert seen["few"] / sum(seen.values()) == pytest.approx(0.75, abs=0.01)


def test_the_order_follows_from_the_seed_and_each_row_is_met_before_any_is_met_again():
    drawn = MixedRows(PARTS, [1] * 100, epochs=4, seed=0).order
    assert drawn == MixedRows(PARTS, [1] * 100, epochs=4, seed=0).order
    assert drawn != MixedRows(PARTS, [1] * 100, epochs=4, seed=1).order
    few, many = ([row for row in drawn if row in part.rows] for part in reversed(PARTS))
    assert {tuple(sorted(few[i : i + 10])) for i in range(0, 290, 10)} == {tuple(range(90, 100))}
    assert len(set(many[:90])) == 90 and few[:10] != few[10:20]


def test_an_epoch_goes_on_where_the_one_before_ended():
    mixed = MixedRows(PARTS, [1] * 100, epochs=2, seed=0)
    first = list(mixed)
    mixed.set_epoch(1)
    assert first + list(mixed) == mixed.order and len(mixed) == 100


def test_weights_without_as_many_datasets_are_refused_before_a_run():
    assert SftRecipe(weights=(1, 2)).lacks(["model", "instructions"])
    assert not SftRecipe(weights=(1, 2)).lacks(["model", "instructions", "instructions2"])
    with pytest.raises(ValueError, match="above 0"):
        SftRecipe(weights=(1, 0))


# A run

RECIPE = RECIPES["sft"].presets["tiny"] | {"epochs": 2, "max_length": 96, "eval_every": 6, "sample_tokens": 0}


def shouted(count, *, first=0):
    return [
        {"id": f"s{i}", "messages": [tiny.user(f"{i}!"), tiny.assistant("XYZ")]} for i in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two datasets of 40 and 8 conversations, and a general corpus."""
    folder = tmp_path_factory.mktemp("mixture")
    texts = [{"id": str(i), "text": f"{i} is a number, and {i + 1} is the next.", "source": "t"} for i in range(6)]
    return {
        "model": tiny.write_model(folder / "model"),
        "instructions": tiny.write_dataset(
            folder / "one", tiny.instruction_rows(40), tiny.instruction_rows(9, first=40)
        ),
        "instructions2": tiny.write_dataset(folder / "two", shouted(8), shouted(5, first=8)),
        "general": tiny.write_dataset(folder / "corpus", texts),
    }


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    run_dir = tiny.make_run(tmp_path_factory.mktemp("run") / "run", "sft", RECIPE | {"weights": (1, 3)}, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE, tiny.failure(run_dir)
    return run_dir


def test_a_run_tells_shares_counts_and_held_out_loss_by_dataset(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["train_rows"] == 48 and metrics["held_out_rows"] == 14
    learned = {name: metrics[f"learned/{name}"] for name in ("instructions", "instructions2")}
    assert learned["instructions2"] / sum(learned.values()) == pytest.approx(0.75, abs=0.05)
    assert tiny.curve(trained, "share/instructions2") == {0: 0.75} and tiny.curve(trained, "rows/instructions") == {
        0: 40
    }
    own = {name: metrics[f"eval_loss/{name}"] for name in learned}
    assert min(own.values()) < metrics["eval_loss"] < max(own.values())
    assert own["instructions2"] < 0.8 * tiny.curve(trained, "eval_loss/instructions2")[0]


def test_before_and_after_are_told_of_completions_and_of_a_general_corpus(trained):
    metrics = contract.read_manifest(trained)["metrics"]
    assert metrics["completion_loss_change"] == metrics["eval_loss"] / metrics["eval_loss_before"] - 1 < -0.05
    assert metrics["forgotten"] == metrics["eval_general_loss"] - metrics["eval_general_loss_before"]
    general = tiny.curve(trained, "eval_general_loss")
    assert general[0] == metrics["eval_general_loss_before"] and general[max(general)] == metrics["eval_general_loss"]


def test_without_held_out_rows_forgetting_is_told_at_both_ends(inputs, tmp_path):
    lone = {name: inputs[name] for name in ("model", "general")}
    lone["instructions"] = tiny.write_dataset(tmp_path / "rows", tiny.instruction_rows(16))
    run_dir = tiny.make_run(tmp_path / "run", "sft", RECIPE, lone)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert sorted(tiny.curve(run_dir, "eval_general_loss")) == [0, max(tiny.curve(run_dir, "loss"))]
    assert metrics["forgotten"] == metrics["eval_general_loss"] - metrics["eval_general_loss_before"] != 0
