"""Killed or stopped, PPO resumes and ends in the very bits of the run that was left alone: between rollouts and within."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.training import tiny
from tests.training.tiny_reward import ppo_inputs
from training import contract
from training.context import Stopped
from training.mechanics import checkpoints
from training.mechanics.online import loop
from training.methods import ppo
from training.recipes import RECIPES

pytestmark = pytest.mark.slow(seconds=2)

SHORT = {"episodes": 64, "batch_size": 8, "minibatch_size": 4, "max_new_tokens": 6, "epochs": 2, "checkpoint_every": 2}
STEPS = 5  # numbers of checkpoints from one rollout to the next: four minibatches, and the rollout's end
PATIENCE = 90


@pytest.fixture(scope="module", params=["whole model", "adapter"])
def whole(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ppo_resume")
    lora = {"r": 4, "alpha": 8} if request.param == "adapter" else None
    recipe = RECIPES["ppo"].presets["tiny"] | SHORT | {"lora": lora}
    inputs = ppo_inputs(folder)
    if lora:  # one of the two keeps to a corpus as well
        recipe |= {"ptx_length": 16}
        inputs["corpus"] = tiny.write_dataset(folder / "corpus", [{"text": f"{i} is a number. " * 8} for i in range(9)])
    run_dir = tiny.make_run(folder / "run", "ppo", recipe, inputs)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def assert_same(run_dir: Path, whole: Path) -> None:
    found, expected = contract.read_manifest(run_dir), contract.read_manifest(whole)
    assert found["files"] == expected["files"]
    assert found["metrics"] == expected["metrics"]
    for name in ("reward", "kl", "policy_loss", "value_loss", "explained_variance", "kl_coefficient"):
        assert tiny.curve(run_dir, name) == tiny.curve(whole, name)


def stop_in_passes(run_dir: Path, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Runs until `after` minibatches of the whole run are done, then stops as a request to stop would."""
    context = tiny.open_run(run_dir)
    done = 0
    real = loop.train_on

    def counted(*args, stop_requested, **more):
        def asked() -> bool:
            nonlocal done
            context.stop_requested = context.stop_requested or done >= after
            done += 1
            return context.stop_requested

        real(*args, stop_requested=asked, **more)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_on", counted)
        with pytest.raises(Stopped):
            ppo.run(context)
    context.events.close()


def test_stopped_within_the_passes_it_goes_on_with_the_same_rollout(whole, tmp_path, monkeypatch):
    run_dir = tiny.same_run(whole, tmp_path / "stopped")
    stop_in_passes(run_dir, monkeypatch, after=6)
    number, minibatch = divmod(checkpoints.step_of(checkpoints.newest(run_dir / contract.CHECKPOINTS)), STEPS)
    assert number >= 1 and 0 < minibatch < STEPS - 1

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert_same(run_dir, whole)


def interrupt(run_dir: Path, how: signal.Signals, *, after_rollout: int) -> int | None:
    process = tiny.fork(run_dir)
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and process.is_alive():
        newest = checkpoints.newest(run_dir / contract.CHECKPOINTS)
        if newest is not None and checkpoints.step_of(newest) >= after_rollout * STEPS:
            os.kill(process.pid, how)
            break
        time.sleep(0.002)
    process.join(PATIENCE)
    return process.exitcode


def test_killed_after_a_checkpoint_it_ends_in_the_same_bits(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "killed")
    assert interrupt(run_dir, signal.SIGKILL, after_rollout=2) == -signal.SIGKILL
    assert not (run_dir / contract.MANIFEST).exists()

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert any(entry["text"].startswith("Resuming from") for entry in tiny.events(run_dir, "log"))
    assert_same(run_dir, whole)


def test_asked_to_stop_it_keeps_a_checkpoint_and_ends_in_the_same_bits(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "asked")
    assert interrupt(run_dir, signal.SIGTERM, after_rollout=2) == contract.EXIT_STOPPED
    assert not (run_dir / contract.MANIFEST).exists()

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert_same(run_dir, whole)
