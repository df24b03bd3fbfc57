"""A run in two processes under a worker: handed back and gone on with, and nobody left behind where one is killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from registry.services.artifacts import store_folder
from registry.services.datasets import freeze_dataset
from registry.services.models import register_model
from runs.models import Run, RunState
from runs.services.child import processes_of
from runs.services.control import resume_run
from runs.services.start import start_run
from tests.runs.conftest import work_once
from tests.runs.test_supervise import is_running, said
from tests.training import tiny
from training.mechanics import checkpoints

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow(seconds=30)]

RECIPE = {"epochs": 12, "batch_size": 4, "eval_every": 1000, "sample_tokens": 0, "parallel": {"processes": 2}}
PATIENCE_S = 20


@pytest.fixture
def queued(ada, settings, tmp_path) -> Run:
    settings.RUN_TIMES |= {"stall_s": 300.0, "cancel_grace_s": 60.0}  # torch is loaded first
    given = tiny.write_model(tmp_path / "model")
    model = register_model("tiny", role="base", artifact=store_folder(Path(given.path), kind="model"), user=None)
    splits = {"train": tiny.instruction_rows(12), "test": tiny.instruction_rows(3, first=40)}
    talks = freeze_dataset("talks", kind="instructions", splits=splits, user=ada)
    inputs = {"model": model.artifact, "instructions": talks.artifact}
    return start_run("sft", recipe=RECIPE, preset="tiny", inputs=inputs, user=ada)


def steps(run: Run) -> list[int]:
    return [payload["step"] for payload in said(run, "metric") if "loss" in payload["values"]]


def at_work(run: Run) -> list[int]:
    return [pid for pid in processes_of(run.folder.name) if is_running(pid)]


def parent_of(pids: list[int]) -> int:
    """The one that started the others."""
    above = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids}
    (found,) = set(above.values()) & set(pids)
    return found


def test_both_stop_for_a_worker_that_leaves_and_the_next_one_goes_on_from_their_checkpoint(queued):
    run = work_once(must_leave=lambda: len(steps(queued)) >= 3)
    assert run.state == RunState.QUEUED, run.failure
    assert not at_work(run)
    newest = checkpoints.newest(run.folder / "checkpoints")
    assert newest is not None and (stopped := checkpoints.step_of(newest)) >= 3
    run = work_once()
    assert run.state == RunState.SUCCEEDED, run.failure
    assert steps(run) == list(range(1, run.total + 1)) and stopped < run.total
    assert run.output.artifact.kind == "model"


def test_where_their_parent_is_killed_both_end_and_the_run_can_be_resumed(queued):
    met: list[int] = []

    def kill_the_parent() -> bool:
        if not met and len(steps(queued)) >= 3:
            met.extend(at_work(queued))
            os.kill(parent_of(met), signal.SIGKILL)
        return False

    run = work_once(must_leave=kill_the_parent)
    assert (run.state, run.failure_code, len(met)) == (RunState.FAILED, "crashed", 3)
    patience = time.monotonic() + PATIENCE_S
    while any(map(is_running, met)):
        assert time.monotonic() < patience
        time.sleep(0.05)
    resume_run(run, user=None)
    assert work_once().state == RunState.SUCCEEDED
    assert not list(run.folder.glob(".meeting-*"))
