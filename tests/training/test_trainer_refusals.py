"""What a trainer refuses: numbers that are not finite, checkpoints that lack something, and to publish after either."""

from __future__ import annotations

import pytest
import torch
from transformers import TrainerCallback

from tests.training import tiny
from training import contract
from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import checkpoints
from training.mechanics.trainers.samples import pick_show
from training.methods import dpo
from training.recipes import RECIPES

PREFERENCES = {"epochs": 2, "eval_every": 2, "batch_size": 6, "max_length": 96}


def given(folder, *, method: str, poison: bool = False) -> dict[str, contract.Input]:
    model = tiny.write_model(folder / "model", poison=poison)
    if method == "sft":
        return {"model": model, "instructions": tiny.write_dataset(folder / "data", tiny.instruction_rows(12))}
    return {"model": model, "preferences": tiny.write_dataset(folder / "data", tiny.preference_rows(8))}


@pytest.mark.parametrize("method", ["sft", "reward", "dpo", "kto"])
def test_a_loss_that_is_not_a_number_fails_the_run_and_publishes_nothing(tmp_path, method):
    recipe = RECIPES[method].presets["tiny"] | {"eval_every": 2, "max_length": 96}
    run_dir = tiny.make_run(tmp_path / "run", method, recipe, given(tmp_path, method=method, poison=True))

    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "not_finite"
    assert tiny.failure(run_dir)["advice"]
    assert not (run_dir / contract.MANIFEST).exists()
    assert not list((run_dir / contract.OUTPUT).glob("*")) if (run_dir / contract.OUTPUT).exists() else True


class Poison(TrainerCallback):
    """Spoils one weight as the fifth step begins."""

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == 4:
            with torch.no_grad():
                next(model.parameters()).view(-1)[0] = float("inf")


def build(folder, **changes):
    recipe = RECIPES["dpo"].presets["tiny"] | PREFERENCES | {"sample_tokens": 0} | changes
    run_dir = folder / "run"
    if not run_dir.exists():
        tiny.make_run(run_dir, "dpo", recipe, given(folder, method="dpo"))
    context = tiny.open_run(run_dir)
    trainer = dpo.build(context, context.recipe, rows=tiny.preference_rows(8), held_out=[], tokenizer=tiny.tokenizer())
    trainer.take_reference()
    return trainer


def test_a_weight_that_goes_bad_half_way_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    trainer = build(tmp_path)
    trainer.add_callback(Poison())
    with pytest.raises(Failure) as refused:
        trainer.train_to_the_end()

    assert refused.value.code == "not_finite"
    assert "step 5" in refused.value.sentence
    assert checkpoints.newest(trainer.context.checkpoints).name.endswith("4")
    assert max(tiny.curve(tmp_path / "run", "loss")) == 4


@pytest.mark.parametrize("lost", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"])
def test_a_checkpoint_that_was_written_without_a_part_is_refused(tmp_path, lost):
    trainer = build(tmp_path)

    def incomplete(folder):
        trainer_write(folder)
        (folder / lost).unlink()

    trainer_write, trainer.write_checkpoint = trainer.write_checkpoint, incomplete
    trainer.context.stop_requested = False
    trainer.train_to_the_end()

    with pytest.raises(Failure) as refused:
        build(tmp_path).train_to_the_end()
    assert refused.value.code == "checkpoint_incomplete"
    assert lost in refused.value.sentence


def test_a_checkpoint_holds_no_pickle_of_settings(tmp_path):
    trainer = build(tmp_path)
    trainer.train_to_the_end()
    newest = checkpoints.newest(trainer.context.checkpoints)
    assert not list(newest.glob("training_args*"))
    assert len(list(trainer.context.checkpoints.glob("*"))) == 2


def test_a_stop_while_samples_are_drawn_keeps_that_steps_checkpoint(tmp_path, monkeypatch):
    tell = RunContext.progress

    def stop_at_the_samples(context, phase, *args, **kwargs):
        tell(context, phase, *args, **kwargs)
        context.stop_requested = phase == "samples"  # as the signal's handler does

    monkeypatch.setattr(RunContext, "progress", stop_at_the_samples)
    trainer = build(tmp_path, sample_tokens=8)
    with pytest.raises(Stopped):
        trainer.train_to_the_end()

    assert checkpoints.newest(trainer.context.checkpoints).name.endswith("-2")
    assert not tiny.events(tmp_path / "run", "sample")


def test_a_prompt_that_fills_the_context_is_not_shown(tmp_path):
    words = tiny.tokenizer()
    talks = [[tiny.user("a" * 300)], [tiny.user("b")]]
    show = pick_show(talks, tokenizer=words, count=4, max_length=96, max_new_tokens=8)
    assert show.texts == ["b"]


def test_a_stop_before_the_first_step_leaves_at_once(tmp_path):
    trainer = build(tmp_path)
    trainer.context.stop_requested = True
    with pytest.raises(Stopped):
        trainer.train_to_the_end()
    assert not tiny.curve(tmp_path / "run", "loss")
