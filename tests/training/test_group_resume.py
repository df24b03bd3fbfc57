"""Killed or stopped, RLOO, GRPO and online DPO resume and end in the very bits of the run that was left alone."""

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
from training.methods import grpo, online_dpo, rloo
from training.recipes import RECIPES

pytestmark = pytest.mark.slow(seconds=3)

SHORT = {"episodes": 96, "batch_size": 8, "minibatch_size": 4, "max_new_tokens": 6, "epochs": 2, "checkpoint_every": 2}
STEPS = {"rloo": 5, "grpo": 5, "online_dpo": 9}  # numbers of checkpoints from one rollout to the next
PATIENCE = 90
RUN = {"rloo": rloo.run, "grpo": grpo.run, "online_dpo": online_dpo.run}


@pytest.fixture(scope="module", params=[("rloo", False), ("grpo", True), ("online_dpo", False)], ids=lambda p: p[0])
def whole(request, tmp_path_factory) -> Path:
    method, is_adapter = request.param
    folder = tmp_path_factory.mktemp("group_resume")
    recipe = RECIPES[method].presets["tiny"] | SHORT | {"lora": {"r": 4, "alpha": 8} if is_adapter else None}
    if method == "online_dpo":
        recipe |= {"minibatch_size": 2}  # a pair
    run_dir = tiny.make_run(folder / "run", method, recipe, ppo_inputs(folder))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def assert_same(run_dir: Path, whole: Path) -> None:
    found, expected = contract.read_manifest(run_dir), contract.read_manifest(whole)
    assert found["files"] == expected["files"]
    assert found["metrics"] == expected["metrics"]
    for name in ("reward", "kl", "policy_loss", "zero_std_groups"):
        assert tiny.curve(run_dir, name) == tiny.curve(whole, name)


def newest_step(run_dir: Path) -> int:
    newest = checkpoints.newest(run_dir / contract.CHECKPOINTS)
    return 0 if newest is None else checkpoints.step_of(newest)


def steps_of(run_dir: Path) -> int:
    return STEPS[contract.read_spec(run_dir).method]


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
            RUN[context.spec.method](context)
    context.events.close()


def test_stopped_within_the_passes_it_goes_on_with_the_same_rollout(whole, tmp_path, monkeypatch):
    run_dir = tiny.same_run(whole, tmp_path / "stopped")
    stop_in_passes(run_dir, monkeypatch, after=6)
    number, minibatch = divmod(newest_step(run_dir), steps_of(run_dir))
    assert number >= 1 and 0 < minibatch < 4

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert_same(run_dir, whole)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["asked", "killed"])
def test_ended_from_outside_it_ends_in_the_same_bits(how, whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "ended")
    process = tiny.fork(run_dir)
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and process.is_alive():
        if newest_step(run_dir) >= 2 * steps_of(run_dir):
            os.kill(process.pid, how)
            break
        time.sleep(0.002)
    process.join(PATIENCE)
    assert process.exitcode == (contract.EXIT_STOPPED if how == signal.SIGTERM else -signal.SIGKILL)
    assert not (run_dir / contract.MANIFEST).exists()

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert any(entry["text"].startswith("Resuming from") for entry in tiny.events(run_dir, "log"))
    assert_same(run_dir, whole)
