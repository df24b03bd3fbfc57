"""A checkpoint is whole or absent, whatever kills its writer; a state that could run code is not read."""

from __future__ import annotations

import os
import pickle
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from training.contract import Failure
from training.mechanics import checkpoints, randomness


def write(text: str):
    return lambda folder: (folder / "state").write_text(text)


def test_the_newest_is_that_of_the_highest_step_not_of_the_highest_name(tmp_path):
    for step in (9, 10):
        checkpoints.publish(tmp_path, step, write(str(step)))
    assert (checkpoints.newest(tmp_path) / "state").read_text() == "10"


def test_only_so_many_are_kept(tmp_path):
    for step in range(5):
        checkpoints.publish(tmp_path, step, write("x"), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-3", "checkpoint-4"]


def test_a_writer_that_dies_leaves_the_one_before(tmp_path):
    checkpoints.publish(tmp_path, 1, write("good"))

    def dies(folder):
        (folder / "state").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.publish(tmp_path, 2, dies)
    assert checkpoints.newest(tmp_path).name == "checkpoint-1"
    checkpoints.publish(tmp_path, 2, write("whole"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]


@pytest.mark.parametrize("damage", ["byte", "lost", "added", "manifest"])
def test_a_damaged_one_is_passed_over_and_then_written_anew(tmp_path, damage):
    for step in (1, 2):
        checkpoints.publish(tmp_path, step, write("state"))
    newest = checkpoints.newest(tmp_path)
    match damage:
        case "byte":
            (newest / "state").write_text("stats")
        case "lost":
            (newest / "state").unlink()
        case "added":
            (newest / "more").write_text("")
        case "manifest":
            (newest / checkpoints.MANIFEST).write_text("{")
    assert checkpoints.newest(tmp_path).name == "checkpoint-1"

    checkpoints.publish(tmp_path, 2, write("anew"))
    assert (checkpoints.newest(tmp_path) / "state").read_text() == "anew"


def test_torn_ones_of_the_future_are_cleared_away(tmp_path):
    checkpoints.publish(tmp_path, 1, write("good"))
    (tmp_path / "checkpoint-9").mkdir()
    checkpoints.publish(tmp_path, 2, write("good"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]


def test_nothing_is_the_newest_of_nothing(tmp_path):
    assert checkpoints.newest(tmp_path) is None


@dataclass
class Bomb:
    path: str

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_state_that_would_run_code_is_refused(tmp_path):
    torch.save({"bomb": Bomb(str(tmp_path / "went off"))}, tmp_path / "state.pt")
    with pytest.raises(pickle.UnpicklingError):
        checkpoints.read_state(tmp_path / "state.pt")
    assert not (tmp_path / "went off").exists()


def test_a_lost_state_is_a_failure_that_says_what_to_do(tmp_path):
    with pytest.raises(Failure) as refused:
        checkpoints.read_state(tmp_path / "optimizer.pt")
    assert refused.value.code == "checkpoint_incomplete" and refused.value.advice


def test_random_states_come_back_from_a_checkpoint(tmp_path):
    def drawn():
        return random.random(), np.random.rand(), torch.rand(1).item(), random.gauss(0, 1), np.random.normal()

    randomness.seed_everything(7)
    drawn()
    checkpoints.write_state(tmp_path / "rng.pt", randomness.capture().as_plain())
    expected = [drawn(), drawn()]
    drawn()
    randomness.restore(randomness.RandomState.from_plain(checkpoints.read_state(tmp_path / "rng.pt")))
    assert [drawn(), drawn()] == expected
