"""Where training makes the preferred texts less likely too, an SFT term switches itself on, says so, and holds them up."""

from __future__ import annotations

import json

import pytest
from transformers import TrainerCallback

from tests.training import tiny
from training import contract
from training.context import Stopped
from training.mechanics import checkpoints
from training.mechanics.coach.rewards import FALLING_POINTS as STEPS
from training.mechanics.preference.chosen_guard import ChosenGuard
from training.methods import dpo
from training.recipes.dpo import DpoRecipe

pytestmark = pytest.mark.slow(seconds=1)

# A rate at which the preferred texts fall after some twenty steps.
FALLS = DpoRecipe.presets["tiny"] | {
    "epochs": 6, "batch_size": 6, "eval_every": 12, "max_length": 96, "sample_tokens": 0, "learning_rate": 2e-2, "beta": 0.5
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    preferences = tiny.write_dataset(folder / "data", tiny.preference_rows(20))
    return {"model": tiny.write_model(folder / "model"), "preferences": preferences}


@pytest.fixture(scope="module")
def runs(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    found = {name: tiny.make_run(folder / name, "dpo", FALLS | {"sft": name}, inputs) for name in ("never", "falling")}
    assert [tiny.finish(run_dir) for run_dir in found.values()] == [contract.EXIT_DONE] * 2
    return found


def said(run_dir) -> list[str]:
    return [one["code"] for one in tiny.events(run_dir, "warning")]


def test_the_term_switches_itself_on_and_the_preferred_texts_fall_less(runs):
    change = {name: contract.read_manifest(run)["metrics"]["chosen_change_per_token"] for name, run in runs.items()}
    assert change["never"] < -0.5
    assert change["falling"] > change["never"] + 1
    assert "chosen_falling" in said(runs["never"]) and "sft_switched_on" not in said(runs["never"])
    assert said(runs["falling"]).count("sft_switched_on") == 1 and "chosen_falling" not in said(runs["falling"])


def test_it_says_from_which_step_and_until_then_changes_nothing(runs):
    weight = tiny.curve(runs["falling"], "sft_weight")
    first = min(step for step, value in weight.items() if value)
    assert {value for step, value in weight.items() if step >= first} == {1.0}
    told = {warning["code"]: warning["sentence"] for warning in tiny.events(runs["falling"], "warning")}
    sentence = told["sft_switched_on"]
    assert "loss_spike" not in told  # a term that is added to the loss is no jump of it
    assert f"From step {first} on" in sentence
    before = [{s: v for s, v in tiny.curve(run, "loss").items() if s < first} for run in runs.values()]
    assert before[0] == before[1] and len(before[0]) == first - 1 >= STEPS
    assert "sft_weight" not in {name for one in tiny.events(runs["never"], "metric") for name in one["values"]}


def test_in_usual_training_it_stays_off_and_changes_no_bit(inputs, tmp_path):
    usual = DpoRecipe.presets["tiny"] | {"epochs": 2, "batch_size": 6, "max_length": 96, "sample_tokens": 0}
    found = [
        tiny.make_run(tmp_path / name, "dpo", usual | {"sft": name}, inputs) for name in ("never", "falling")
    ]  # fmt: skip
    assert [tiny.finish(run_dir) for run_dir in found] == [contract.EXIT_DONE] * 2
    assert set(tiny.curve(found[1], "sft_weight").values()) == {0.0}
    files = [contract.read_manifest(run_dir)["files"]["model.safetensors"] for run_dir in found]
    assert files[0] == files[1]


def test_always_it_is_on_from_the_first_step(inputs, tmp_path):
    recipe = FALLS | {"sft": "always", "sft_weight": 0.5, "learning_rate": 5e-4, "epochs": 1}
    run_dir = tiny.make_run(tmp_path / "run", "dpo", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert set(tiny.curve(run_dir, "sft_weight").values()) == {0.5}
    assert tiny.curve(run_dir, "loss")[1] > 2  # ln 2, and half of a token's negative log-likelihood


class StopAfter(TrainerCallback):
    def __init__(self, context, step: int) -> None:
        self.context, self.step = context, step

    def on_step_begin(self, args, state, control, **kwargs):
        self.context.stop_requested = state.global_step >= self.step


def test_a_resumed_run_goes_on_with_the_term_on_and_ends_in_the_same_bits(runs, inputs, tmp_path):
    run_dir = tiny.make_run(tmp_path / "stopped", "dpo", FALLS | {"sft": "falling"}, inputs)
    context = tiny.open_run(run_dir)
    trainer = dpo.build(context, context.recipe, rows=tiny.preference_rows(20), held_out=[], tokenizer=tiny.tokenizer())
    trainer.take_reference()
    trainer.add_callback(StopAfter(context, 30))
    with pytest.raises(Stopped):
        trainer.train_to_the_end()
    state = json.loads((checkpoints.newest(context.checkpoints) / "method_state.json").read_text())
    assert state["guard"]["is_on"]

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert said(run_dir).count("sft_switched_on") == 1
    files = [contract.read_manifest(one)["files"]["model.safetensors"] for one in (run_dir, runs["falling"])]
    assert files[0] == files[1]


def test_one_bad_batch_is_no_reason(tmp_path):
    context = tiny.open_run(tiny.make_run(tmp_path / "run", "dpo", {}, {}))
    guard = ChosenGuard(limit=0.5, acts=True, weight=1.0)
    for step in range(3 * STEPS):
        guard.see(-4.0 if step % STEPS == 5 else 0.0, step=step, context=context)
    assert not guard.is_on
