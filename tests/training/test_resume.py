"""Killed or stopped at any step, a run resumes and ends in the very bits of the run that was left alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.training import labelled, tiny
from training import contract
from training.mechanics import checkpoints
from training.recipes import RECIPES

pytestmark = pytest.mark.slow

METHODS = (
    "sft",
    "sft by lora",
    "sft by prompt",
    "sft by prefix",
    "sft of two",
    "finetune",
    "reward",
    "reward of three heads",
    "dpo",
    "kto",
)
FASTEST_POLL = 0.002
PATIENCE = 90


def given(folder: Path, method: str, *, is_mixed: bool = False) -> dict[str, contract.Input]:
    if is_mixed:
        second = tiny.write_dataset(folder / "second", tiny.instruction_rows(9, first=60))
        return {**given(folder, method), "instructions2": second}
    if method == "sft":
        train, test = tiny.instruction_rows(40), tiny.instruction_rows(6, first=40)
        name = "instructions"
    elif method == "finetune":  # of a BERT, whose dropout draws from torch's random state
        rows = labelled.named(60)
        dataset = tiny.write_dataset(folder / "data", rows[:50], rows[50:])
        return {"model": labelled.write_bert(folder / "model"), "labelled": dataset}
    elif method == "reward":
        rankings, train = tiny.ranked(16)  # with ties, whose weights are learned, too
        dataset = tiny.write_dataset(folder / "data", train, tiny.ranked(4, first=16)[1], rankings=rankings)
        return {"model": tiny.write_model(folder / "model"), "preferences": dataset}
    else:
        train, test = tiny.preference_rows(16), tiny.preference_rows(4, first=16)
        name = "preferences"
    return {"model": tiny.write_model(folder / "model"), name: tiny.write_dataset(folder / "data", train, test)}


@pytest.fixture(scope="module", params=METHODS)
def whole(request, tmp_path_factory) -> Path:
    """A run of 32 steps (20 of SFT), with a checkpoint every third, that nobody disturbed."""
    method, _, adapter = request.param.partition(" by ")
    method, _, more = method.partition(" of ")
    folder = tmp_path_factory.mktemp(method)
    changes = {"epochs": 4, "batch_size": 6, "eval_every": 3, "max_length": 96}
    changes |= {"batch_size": 2} if method == "reward" else {}
    changes |= {"task": "entities"} if method == "finetune" else {}
    changes |= {"sample_tokens": 4} if method in ("sft", "dpo", "kto") else {}
    changes |= {"heads": 3, "debias_length": True} if more == "three heads" else {}
    changes |= {"adapter": adapter, "virtual_tokens": 4} if adapter else {}
    changes |= {"weights": (1, 2)} if more == "two" else {}
    recipe = RECIPES[method].presets["tiny"] | changes
    run_dir = tiny.make_run(folder / "whole", method, recipe, given(folder, method, is_mixed=more == "two"))
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


def weights(run_dir: Path) -> str:
    [file] = (run_dir / contract.OUTPUT).glob("*.safetensors")
    return contract.file_sha256(file)


def interrupt(run_dir: Path, how: signal.Signals, *, after_step: int) -> int | None:
    """Sends the signal once a checkpoint of at least `after_step` stands; gives the exit code."""
    process = tiny.fork(run_dir)
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and process.is_alive():
        newest = checkpoints.newest(run_dir / contract.CHECKPOINTS)
        if newest is not None and step_of(newest) >= after_step:
            os.kill(process.pid, how)
            break
        time.sleep(FASTEST_POLL)
    process.join(PATIENCE)
    return process.exitcode


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def test_killed_after_a_checkpoint_it_ends_in_the_same_bits(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "killed")
    assert interrupt(run_dir, signal.SIGKILL, after_step=6) == -signal.SIGKILL
    assert not (run_dir / contract.MANIFEST).exists()

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert any(entry["text"].startswith("Resuming from") for entry in tiny.events(run_dir, "log"))
    assert weights(run_dir) == weights(whole)
    for name in ("loss", "eval_loss"):
        assert tiny.curve(run_dir, name) == tiny.curve(whole, name)


def test_asked_to_stop_it_keeps_a_checkpoint_and_ends_in_the_same_bits(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "stopped")
    assert interrupt(run_dir, signal.SIGTERM, after_step=3) == contract.EXIT_STOPPED
    assert not (run_dir / contract.MANIFEST).exists()

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert weights(run_dir) == weights(whole)
    assert contract.read_manifest(run_dir)["metrics"] == contract.read_manifest(whole)["metrics"]


def killed_late(whole: Path, folder: Path) -> Path:
    run_dir = tiny.same_run(whole, folder)
    interrupt(run_dir, signal.SIGKILL, after_step=9)
    return run_dir


@pytest.mark.parametrize("whole", ["dpo"], indirect=True)
@pytest.mark.parametrize("damage", ["optimizer lost", "byte flipped"])
def test_a_torn_checkpoint_is_passed_over_for_the_one_before(whole, tmp_path, damage):
    run_dir = killed_late(whole, tmp_path / "torn")
    newest = checkpoints.newest(run_dir / contract.CHECKPOINTS)
    if damage == "optimizer lost":
        (newest / "optimizer.pt").unlink()
    else:
        file = newest / "model.safetensors"
        broken = bytearray(file.read_bytes())
        broken[-9] ^= 1
        file.write_bytes(bytes(broken))

    before = checkpoints.newest(run_dir / contract.CHECKPOINTS)
    assert step_of(before) < step_of(newest)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert f"Resuming from {before.name}." in [entry["text"] for entry in tiny.events(run_dir, "log")]
    assert weights(run_dir) == weights(whole)


@pytest.mark.slow
@pytest.mark.parametrize("whole", ["dpo"], indirect=True)
def test_the_program_itself_stops_on_request_and_goes_on(whole, tmp_path):
    run_dir = tiny.same_run(whole, tmp_path / "program")
    process = tiny.start(run_dir)
    patience = time.monotonic() + PATIENCE
    while not tiny.curve(run_dir, "loss") and process.poll() is None and time.monotonic() < patience:
        time.sleep(FASTEST_POLL)
    process.terminate()
    assert process.wait(PATIENCE) == contract.EXIT_STOPPED, process.stderr.read()

    again = tiny.start(run_dir)
    assert again.wait(PATIENCE) == contract.EXIT_DONE, again.stderr.read()
    assert weights(run_dir) == weights(whole)
