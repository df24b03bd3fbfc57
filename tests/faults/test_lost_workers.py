"""Workers that die, freeze or are asked to leave: the run goes on elsewhere, once, and nothing is said twice."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.faults.sites import Site, is_running

pytestmark = pytest.mark.slow


def counted(site: Site, run_id: str) -> list[int]:
    return [payload["values"]["counted"] for payload in site.said(run_id, "metric")]


def outputs(site: Site) -> int:
    return site.sql("SELECT count(*) FROM runs_runoutput")[0][0]


def test_a_killed_workers_run_goes_on_from_its_checkpoint_on_another(site):
    before = outputs(site)
    [run_id] = site.start()
    first = site.worker("count:120")
    site.wait(run_id, lambda run: run["step"] > 20)
    trainer = site.trainer_of(run_id)
    first.kill()
    killed_at = time.monotonic()
    site.worker("count:120")
    site.wait(run_id, lambda run: run["attempt"] == 2)
    took_over = time.monotonic() - killed_at
    assert not is_running(trainer)
    run = site.wait(run_id, lambda run: run["state"] == "succeeded")
    assert run["fence"] == 2
    assert set(counted(site, run_id)) == set(range(1, 121))
    assert site.copied(run_id) == site.written(run_id)
    assert outputs(site) == before + 1
    assert took_over < 2 + 2 + 10  # the lease, a worker's pause between looks, its start on a busy machine


def test_a_trainer_does_not_outlive_its_killed_worker(site):
    [run_id] = site.start()
    worker = site.worker("deaf")
    site.wait(run_id, lambda run: run["last_seq"] > 2)
    trainer = site.trainer_of(run_id)
    worker.kill()
    until = time.monotonic() + 5
    while is_running(trainer):
        assert time.monotonic() < until
        time.sleep(0.05)
    site.worker("count:3")
    site.wait(run_id, lambda run: run["state"] == "succeeded")


def test_a_killed_trainer_fails_the_run_with_the_reason(site):
    [run_id] = site.start()
    site.worker("count:500")
    site.wait(run_id, lambda run: run["step"] > 5)
    os.kill(site.trainer_of(run_id), signal.SIGKILL)
    run = site.wait(run_id, lambda run: run["state"] == "failed")
    assert run["failure_code"] == "crashed"
    assert "SIGKILL" in run["failure"]


def test_a_frozen_worker_that_wakes_late_changes_nothing(site):
    before = outputs(site)
    [run_id] = site.start()
    frozen = site.worker("count:150")
    site.wait(run_id, lambda run: run["step"] > 10)
    site.freeze(frozen)
    site.worker("count:150")
    site.wait(run_id, lambda run: run["fence"] == 2 and run["step"] > 50)
    frozen.send_signal(signal.SIGCONT)
    run = site.wait(run_id, lambda run: run["state"] == "succeeded")
    until = time.monotonic() + 20
    while "is no longer held by" not in (site.home / "workers.log").read_text():  # the late one has noticed
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(1)  # for whatever it might still write
    assert site.run(run_id) == run
    assert frozen.poll() is None
    assert (run["fence"], run["attempt"]) == (2, 2)
    assert set(counted(site, run_id)) == set(range(1, 151))
    assert site.copied(run_id) == site.written(run_id)
    assert outputs(site) == before + 1


def test_a_worker_that_is_asked_to_leave_hands_its_run_back_with_a_checkpoint(site):
    [run_id] = site.start()
    leaving = site.worker("count:120")
    site.wait(run_id, lambda run: run["step"] > 10)
    leaving.terminate()
    assert leaving.wait(10) == 0
    run = site.run(run_id)
    assert (run["state"], run["worker"], run["max_attempts"]) == ("queued", "", 4)
    done = run["step"]
    site.worker("count:120")
    site.wait(run_id, lambda run: run["state"] == "succeeded")
    begins = [payload["text"] for payload in site.said(run_id, "log") if "begins" in payload["text"]]
    assert begins[0] == "attempt 1 begins at 0"
    assert int(begins[1].split()[-1]) >= done
    assert counted(site, run_id) == list(range(1, 121))


def test_four_workers_take_each_of_eight_runs_once(site):
    runs = site.start(8)
    for _ in range(4):
        site.worker("count:5")
    for run_id in runs:
        run = site.wait(run_id, lambda run: run["state"] == "succeeded")
        assert (run["fence"], run["attempt"]) == (1, 1)
        assert counted(site, run_id) == [1, 2, 3, 4, 5]
