"""The share of comparisons that is taken to be wrong follows from who gave them, and is 0 where nothing can be known."""

from __future__ import annotations

import pytest
import torch

from tests.training import tiny
from training import contract
from training.mechanics.people.flips import flip_rates, with_flips
from training.mechanics.people.rankings import of_comparisons
from training.mechanics.preference.losses import dpo_losses
from training.recipes.dpo import DpoRecipe

RATERS = ("ada", "ben", "xan")  # who begins with x ranks by lot


@pytest.fixture
def context(tmp_path):
    return tiny.open_run(tiny.make_run(tmp_path / "told", "dpo", {}, {}))


def said(run_dir, kind: str = "warning") -> list[str]:
    return [one["code"] if kind == "warning" else one["text"] for one in tiny.events(run_dir, kind)]


def test_who_ranks_by_lot_is_taken_to_be_wrong_nearly_half_of_the_time(context):
    _, rows = tiny.ranked(40, raters=RATERS)
    rates = flip_rates(of_comparisons(rows), context=context)
    assert rates["xan"] > 0.35
    assert max(rates["ada"], rates["ben"]) < 0.05
    assert said(context.dir) == ["unreliable_raters"]

    found = with_flips(rows, rates, unknown=0.0, context=context)
    assert {row["rater"]: row["label_smoothing"] for row in found} == rates
    for before, after in zip(rows, found, strict=True):
        assert after["weight"] == pytest.approx(before["weight"] * (1 - 2 * rates[before["rater"]]) ** 2)


def test_no_comparison_pulls_harder_for_being_given_by_lot():
    margins = torch.zeros(2, requires_grad=True)
    e = torch.tensor([0.0, 0.49])
    ((1 - 2 * e) ** 2 * dpo_losses(margins, label_smoothing=e)).sum().backward()
    assert margins.grad[0] == -0.5
    assert margins.grad[1].abs() < 0.02


def test_without_two_raters_on_one_pair_it_is_said_and_nothing_is_taken_to_be_wrong(context):
    _, rows = tiny.ranked(8, raters=("ada",))
    assert flip_rates(of_comparisons(rows), context=context) == {}
    assert said(context.dir) == ["no_overlap"]
    assert {row["label_smoothing"] for row in with_flips(rows, {}, unknown=0.0, context=context)} == {0.0}


def test_of_an_unknown_rater_the_plain_field_is_taken_and_counted(context):
    _, rows = tiny.ranked(3, raters=("ada", "zoe"))
    found = with_flips(rows, {"ada": 0.1}, unknown=0.05, context=context)
    assert {(row["rater"], row["label_smoothing"]) for row in found} == {("ada", 0.1), ("zoe", 0.05)}
    assert "raters of whom nothing is known" in said(context.dir, "log")[0]


@pytest.mark.slow
def test_a_run_with_estimated_flips_starts_at_ln_2_and_learns_from_the_careful_ones(tmp_path):
    rankings, rows = tiny.ranked(40, raters=(*RATERS, "xim"))
    _, held_out = tiny.ranked(10, first=40)
    inputs = {
        "model": tiny.write_model(tmp_path / "model"),
        "preferences": tiny.write_dataset(tmp_path / "data", rows, held_out, rankings=rankings),
    }
    changes = {"epochs": 1, "batch_size": 24, "max_length": 96, "sample_tokens": 0, "learning_rate": 2e-3}
    accuracy = {}
    for flips in ("estimated", "label_smoothing"):
        run_dir = tiny.make_run(tmp_path / flips, "dpo", DpoRecipe.presets["tiny"] | changes | {"flips": flips}, inputs)
        assert tiny.finish(run_dir) == contract.EXIT_DONE
        accuracy[flips] = contract.read_manifest(run_dir)["metrics"]["eval_accuracy"]
    first = tiny.curve(tmp_path / "estimated", "rewards/margins")[1]
    assert abs(first) < 1e-6
    assert accuracy["estimated"] > 0.8 and accuracy["estimated"] >= accuracy["label_smoothing"]
