"""One attempt at a run, with a real process below it: what it says is kept, and however it ends is told."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.models import Artifact, ModelVersion
from runs.launch import NICER
from runs.models import Run, RunEvent, RunState
from runs.services.child import Child, environment, key_variable, processes_of
from runs.services.control import request_cancel, resume_run
from tests.runs.conftest import a_model, a_tokenizer_run, work_once
from training.contract import SPEC, Spec

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow(seconds=1)]


def said(run: Run, kind: str) -> list[dict]:
    return list(RunEvent.objects.filter(run=run, kind=kind).order_by("seq").values_list("payload", flat=True))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"  # one that nobody has reaped yet is dead all the same


def test_a_run_that_counts_to_five_succeeds_with_its_output_as_an_artifact(ada, corpus, trainer):
    queued = a_tokenizer_run(corpus, ada)
    run = work_once()
    assert (run.pk, run.state, run.attempt, run.step, run.total) == (queued.pk, RunState.SUCCEEDED, 1, 5, 5)
    assert run.metrics["counted"] == 5
    assert run.output.artifact.kind == "tokenizer"
    assert json.loads((run.output.artifact.folder / "config.json").read_text()) == {"counted": 5}


def test_what_it_said_stands_in_the_database_in_its_order_without_a_gap(corpus, trainer):
    a_tokenizer_run(corpus)
    run = work_once()
    events = list(run.events.order_by("seq"))
    assert [event.seq for event in events] == list(range(1, run.last_seq + 1))
    assert [payload["values"]["counted"] for payload in said(run, "metric")] == [1, 2, 3, 4, 5]
    assert [payload["state"] for payload in said(run, "state")] == ["queued", "running", "succeeded"]


def test_a_crash_fails_the_run_and_tells_what_was_printed_last(corpus, trainer):
    trainer("crash")
    a_tokenizer_run(corpus)
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "crashed")
    assert "exit code 1: ZeroDivisionError: no loss to divide by" in run.failure
    assert "about to divide" in said(run, "log")[-1]["text"]


def test_a_killed_process_fails_the_run_with_the_signals_name(corpus, trainer):
    trainer("die")
    a_tokenizer_run(corpus)
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "crashed")
    assert "signal 9 (SIGKILL)" in run.failure


def test_an_expected_failure_keeps_its_code_its_sentence_and_its_advice(corpus, trainer):
    trainer("refuse")
    a_tokenizer_run(corpus)
    run = work_once()
    assert (run.failure_code, run.failure, run.advice) == (
        "no_rows", "The dataset has no row to train on.", "Rank a few tasks first.",
    )  # fmt: skip


def test_a_resumed_run_goes_on_from_its_checkpoint_and_its_events_go_on_too(corpus, trainer):
    trainer("count:200")
    queued = a_tokenizer_run(corpus)
    run = work_once(must_leave=lambda: bool(said(queued, "metric")))
    assert (run.state, run.worker, run.max_attempts) == (RunState.QUEUED, "", 4)
    counted = run.step
    assert 0 < counted < 200
    trainer(f"count:{counted + 3}")
    run = work_once()
    assert run.state == RunState.SUCCEEDED
    assert [payload["values"]["counted"] for payload in said(run, "metric")] == list(range(1, counted + 4))


def test_a_cancelled_run_stops_soon_and_leaves_no_artifact(corpus, trainer):
    trainer("count:1000")
    queued = a_tokenizer_run(corpus)
    cancelled: list[float] = []

    def cancel_once_it_counts() -> bool:
        if not cancelled and said(queued, "metric"):
            cancelled.append(time.monotonic())
            request_cancel(queued, user=None)
        return False

    run = work_once(must_leave=cancel_once_it_counts)
    assert run.state == RunState.CANCELLED
    assert time.monotonic() - cancelled[0] < 4
    assert not Artifact.objects.filter(kind="tokenizer").exists()


def test_a_process_that_hears_no_sigterm_is_killed_with_all_its_children(corpus, trainer):
    trainer("deaf")
    queued = a_tokenizer_run(corpus)
    run = work_once(must_leave=lambda: bool(said(queued, "log")))
    assert run.state == RunState.QUEUED
    grandchild = int(said(run, "log")[0]["text"].split()[1])
    assert not is_running(grandchild)


def test_the_trainer_sees_no_secret_of_the_product(corpus, trainer, monkeypatch):
    monkeypatch.setenv("STEADYHAND_SECRET_KEY", "canary-of-the-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-cloud")
    trainer("look")
    a_tokenizer_run(corpus)
    run = work_once()
    seen = said(run, "log")[0]["text"]
    assert "canary" not in seen
    assert json.loads(seen)["OMP_NUM_THREADS"] == "1"


def test_of_the_keys_of_endpoints_a_run_sees_the_one_that_its_recipe_names(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_KEY_MINE", "mine")
    monkeypatch.setenv("STEADYHAND_KEY_THEIRS", "theirs")
    monkeypatch.setenv("STEADYHAND_SECRET_KEY", "canary-of-the-key")
    endpoint = {"endpoint": {"key_variable": "STEADYHAND_KEY_MINE"}}
    for recipe, seen in (
        ({"key_variable": "STEADYHAND_KEY_MINE"}, {"mine"}), ({"key_variable": "STEADYHAND_SECRET_KEY"}, set()),
        ({"key_variable": ""}, set()), (endpoint, {"mine"}), ({"endpoint": None}, set()),
    ):  # fmt: skip
        spec = Spec(run="r", method="ask", recipe=recipe)
        (tmp_path / SPEC).write_text(spec.dump())
        passed = environment("mark", key=key_variable(tmp_path))
        assert {"mine", "theirs", "canary-of-the-key"} & set(passed.values()) == seen


def test_a_run_is_told_where_vllm_is_and_no_key_of_it(monkeypatch):
    told = {"STEADYHAND_VLLM": "/opt/vllm/bin/python", "VLLM_CPU_KVCACHE_SPACE": "1"}
    for name, value in {**told, "VLLM_API_KEY": "canary-of-vllm"}.items():
        monkeypatch.setenv(name, value)
    passed = environment("mark")
    assert told.items() <= passed.items()
    assert "VLLM_API_KEY" not in passed


def test_a_null_character_in_a_sample_does_not_end_the_run(corpus, trainer):
    trainer("look")
    a_tokenizer_run(corpus)
    run = work_once()
    assert run.state == RunState.SUCCEEDED
    assert said(run, "sample")[0]["text"] == "c\ufffdd"


def test_an_output_that_differs_from_its_manifest_is_refused_and_a_resumed_run_makes_it_again(corpus, trainer):
    trainer("tamper")
    a_tokenizer_run(corpus)
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "output_differs")
    resume_run(run, user=None)
    assert work_once().state == RunState.SUCCEEDED


def test_a_run_that_says_nothing_for_too_long_is_stopped(corpus, trainer, settings):
    settings.RUN_TIMES["stall_s"] = 0.5
    trainer("deaf")
    a_tokenizer_run(corpus)
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "stalled")


def with_a_folder(run: Run) -> Run:
    run.folder.mkdir(parents=True)
    (run.folder / "spec.json").write_text(json.dumps({"run": "x", "method": "tokenizer", "recipe": {}, "inputs": {}}))
    return run


def test_a_process_left_in_the_folder_is_ended_before_another_begins(corpus, trainer):
    trainer("count:1000")
    queued = with_a_folder(a_tokenizer_run(corpus))
    left = Child(queued.folder, fence=0)
    trainer("count:3")
    run = work_once()
    assert run.state == RunState.SUCCEEDED
    assert left.exit_code() == -signal.SIGKILL


def test_training_gives_way_to_the_pages_of_people_on_the_same_machine(corpus, trainer):
    trainer("count:1000")
    queued = with_a_folder(a_tokenizer_run(corpus))
    child = Child(queued.folder, fence=0)
    try:
        (pid,) = until(lambda: list(processes_of(queued.folder.name)))
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == min(19, ours + NICER))
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():  # a kernel that groups by session
            until(lambda: group.read_text().split()[-1] == str(NICER))
    finally:
        child.close()


def until(true: Callable[[], Any], *, seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_the_model_that_comes_out_names_its_parents_and_stays_marked_as_simulated(ada, trainer):
    from runs.services.start import start_run
    from tests.runs.conftest import a_dataset

    base = a_model("addresses-base", role="base", is_simulated=True)
    lessons = a_dataset("lessons", kind="instructions")
    start_run("sft", recipe={}, preset="tiny", inputs={"model": base.artifact, "instructions": lessons.artifact},
              user=ada, output_name="addresses-sft")  # fmt: skip
    run = work_once()
    assert run.state == RunState.SUCCEEDED, run.failure
    model = ModelVersion.objects.get(run=run.pk)
    assert (model.name, model.role, model.method, model.base) == ("addresses-sft", "sft", "sft", None)
    assert (list(model.parents.all()), list(model.datasets.all())) == ([base], [lessons])
    assert model.is_simulated and model.num_parameters == 5
