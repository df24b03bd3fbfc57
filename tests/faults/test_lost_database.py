"""A database that dies under a worker: the training process goes on, and what it said is written once it is back."""

from __future__ import annotations

import time

import pytest

from tests.faults.sites import Site

pytestmark = pytest.mark.slow


def test_a_database_that_is_killed_and_comes_back_costs_the_run_nothing(site: Site):
    if site.server is None:
        pytest.skip("SQLite has no server to kill")
    [run_id] = site.start()
    site.worker("count:200", STEADYHAND_LEASE_S="20")
    site.wait(run_id, lambda run: run["step"] > 20)
    site.server.kill()
    (site.server.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
    time.sleep(1.5)
    site.server.start()
    until = time.monotonic() + 30
    while True:
        try:
            site.run(run_id)
            break
        except Exception:
            assert time.monotonic() < until
            time.sleep(0.2)
    run = site.wait(run_id, lambda run: run["state"] == "succeeded")
    assert (run["attempt"], run["fence"]) == (1, 1)
    assert site.copied(run_id) == site.written(run_id)
