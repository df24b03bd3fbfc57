"""The doorbell with real Celery workers, on the folder of messages and on Redis: rung, lost, doubled, asked to leave."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sites import ROOT, TRAINER, Site, on_sqlite
from tests.servers import Server, redis

pytestmark = pytest.mark.slow


@pytest.fixture(params=["folder", "redis"])
def broker(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    if request.param == "folder":
        yield None
        return
    with redis() as server:
        yield server


@pytest.fixture
def rung(tmp_path: Path, migrated: Path, broker: Server | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A product on SQLite whose workers are Celery's."""
    site = on_sqlite(tmp_path, migrated)
    if broker is not None:
        monkeypatch.setenv("STEADYHAND_REDIS_URL", broker.url)
    yield site
    site.end_workers()


def celery(site: Site, behaviour: str, *arguments: str) -> subprocess.Popen[bytes]:
    trainer = shlex.join([sys.executable, str(TRAINER), behaviour])
    command = [sys.executable, "-m", "celery", "--app", "config", "worker", "--queues", "runs", "--concurrency", "1",
               "--loglevel", "WARNING", *arguments]  # fmt: skip
    path = f"{ROOT}:{ROOT / 'platform'}"
    with (site.home / "workers.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=site.home,
                                   env=site.env(STEADYHAND_TRAINING_COMMAND=trainer, PYTHONPATH=path))  # fmt: skip
    site.workers.append(process)
    return process


def test_a_ring_wakes_a_worker_at_once_and_a_doubled_ring_does_no_harm(rung):
    celery(rung, "count:3", "--pool", "threads")
    [first] = rung.start()  # may wait for the worker to come up
    rung.wait(first, lambda run: run["state"] == "succeeded")
    rung.manage("sweep")
    [run_id] = rung.start()
    for _ in range(3):
        rung.manage("sweep")
    began = time.monotonic()
    run = rung.wait(run_id, lambda run: run["state"] == "succeeded")
    assert (run["attempt"], run["fence"]) == (1, 1)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_celery_worker_that_is_asked_to_leave_hands_its_run_back(rung, pool):
    worker = celery(rung, "count:2000", "--pool", pool)
    [run_id] = rung.start()
    rung.wait(run_id, lambda run: run["step"] > 5)
    worker.terminate()
    assert worker.wait(20) == 0
    run = rung.run(run_id)
    assert (run["state"], run["worker"], run["attempt"]) == ("queued", "", 1)


def test_a_run_whose_ring_was_lost_is_rung_for_again_by_the_sweep(rung, broker):
    if broker is None:
        pytest.skip("a folder is not away")
    broker.kill()
    [run_id] = rung.start()  # the person who starts it is not told off for a broker that is away
    assert rung.run(run_id)["state"] == "queued"
    broker.start()
    celery(rung, "count:3", "--pool", "threads")
    time.sleep(1)
    rung.manage("sweep")
    rung.wait(run_id, lambda run: run["state"] == "succeeded")
