"""Several processes stop together, go on as more or fewer, and end together where one of them is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.training import tiny, together
from tests.training.test_parallel_steps import CLOSE, SHORT
from tests.training.test_pretrain import inputs
from training import contract
from training.mechanics import checkpoints

pytestmark = pytest.mark.slow(seconds=2)

PATIENCE = 60
LONG = SHORT | {"steps": 24, "eval_every": 8}


def once_at(run_dir: Path, step: int, process) -> None:
    patience = time.monotonic() + PATIENCE
    while max(tiny.curve(run_dir, "loss"), default=0) < step:
        assert time.monotonic() < patience
        assert process.is_alive()
        time.sleep(0.005)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return inputs(tmp_path_factory.mktemp("given"), train=60, test=0)


@pytest.fixture(scope="module")
def alone(given, tmp_path_factory):
    run_dir = tiny.make_run(tmp_path_factory.mktemp("alone") / "alone", "pretrain", LONG, given)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    return run_dir


@pytest.fixture(scope="module")
def stopped(given, tmp_path_factory):
    """Its parent was asked to stop at some step."""
    run_dir = tiny.make_run(tmp_path_factory.mktemp("stopped") / "run", "pretrain", together.in_two(LONG), given)
    process = tiny.fork(run_dir)
    once_at(run_dir, random.randint(2, 12), process)
    os.kill(process.pid, signal.SIGTERM)
    process.join(PATIENCE)
    assert process.exitcode == contract.EXIT_STOPPED
    return run_dir


def last_step(run_dir: Path) -> int:
    newest = checkpoints.newest(run_dir / "checkpoints")
    assert newest is not None
    return checkpoints.step_of(newest)


def test_all_stop_at_one_step_and_go_on_in_the_bits_of_a_run_that_nobody_stopped(stopped, given, tmp_path):
    step = last_step(stopped)
    assert step == max(tiny.curve(stopped, "loss")) < LONG["steps"]
    resumed = together.begun(stopped, "by-two", together.in_two(LONG), step=step)
    whole = tiny.make_run(tmp_path / "whole", "pretrain", together.in_two(LONG), given)
    assert together.finish_all(tmp_path / "together", [resumed, whole]) == contract.EXIT_DONE
    assert together.apart(resumed, whole) == 0.0


def test_what_two_have_begun_one_ends(stopped, alone):
    resumed = together.begun(stopped, "by-one", LONG, step=last_step(stopped))
    assert tiny.finish(resumed) == contract.EXIT_DONE
    rest = tiny.curve(resumed, "loss")
    assert rest
    assert max(abs(loss - tiny.curve(alone, "loss")[step]) for step, loss in rest.items()) < CLOSE
    assert together.apart(resumed, alone) < 10 * CLOSE


def test_what_one_has_begun_two_end_with_weights_that_are_cut(alone, tmp_path):
    begun = together.begun(alone, "by-two", together.in_two(LONG, "fsdp"), step=16)
    assert together.finish_all(tmp_path / "together", [begun]) == contract.EXIT_DONE
    rest = tiny.curve(begun, "loss")
    assert min(rest) == 17
    assert max(abs(loss - tiny.curve(alone, "loss")[step]) for step, loss in rest.items()) < CLOSE
    assert together.apart(begun, alone) < 10 * CLOSE


def test_where_one_is_killed_the_others_end_soon_and_one_sentence_says_so(given, tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "pretrain", together.in_two(LONG | {"steps": 5000}), given)
    process = tiny.fork(run_dir)
    once_at(run_dir, 2, process)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(children) == 2
    os.kill(children[1], signal.SIGKILL)
    process.join(20)
    assert process.exitcode == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "process_lost"
    assert "SIGKILL" in tiny.failure(run_dir)["sentence"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_a_method_for_one_process_says_so(tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "tokenizer", {"parallel": {"processes": 2}}, {})
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert tiny.failure(run_dir)["code"] == "one_process"


def test_rows_that_cannot_be_shared_alike_are_refused(given, tmp_path):
    run_dir = tiny.make_run(tmp_path / "run", "pretrain", together.in_two(SHORT | {"batch_size": 5}), given)
    assert tiny.finish(run_dir) == contract.EXIT_FAILED
    assert "processes must divide" in tiny.failure(run_dir)["sentence"]
