"""The line for SQLite's write lock: the next one is let in at once, whoever dies gives it on, and nobody waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from config.sqlite3.base import Line
from tests.faults.sites import ROOT

pytestmark = pytest.mark.slow

HOLDER = """
import sys, time
from config.sqlite3.base import Line
line = Line(sys.argv[1])
assert line.wait(5)
print("first", flush=True)
sys.stdin.readline()
line.leave()
print(time.monotonic(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which stands first in the line of `db` until it is written a line."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "db")], text=True, env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "first\n"
    yield process
    process.kill()
    process.communicate()


def test_who_waits_is_first_as_soon_as_another_process_leaves(holder, tmp_path):
    line, entered = Line(str(tmp_path / "db")), []

    def enter() -> None:
        assert line.wait(10)
        entered.append(time.monotonic())

    waiting = threading.Thread(target=enter)
    waiting.start()
    time.sleep(0.5)  # SQLite's own waiting looks only every 100 ms by now
    assert not entered
    holder.stdin.write("\n")
    holder.stdin.flush()
    left = float(holder.stdout.readline())
    waiting.join()
    assert entered[0] - left < 0.05


def test_a_process_that_is_killed_gives_it_on(holder, tmp_path):
    line = Line(str(tmp_path / "db"))
    assert not line.wait(0.05)
    holder.send_signal(signal.SIGKILL)
    assert line.wait(5)


def test_behind_one_that_is_frozen_the_wait_has_an_end(holder, tmp_path):
    line = Line(str(tmp_path / "db"))
    holder.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert not line.wait(0.3)
    assert 0.3 <= time.monotonic() - began < 2
    holder.send_signal(signal.SIGCONT)


def test_threads_of_one_process_come_one_after_the_other(tmp_path):
    line, inside, most = Line(str(tmp_path / "db")), 0, 0
    num_done = 0

    def work() -> None:
        nonlocal inside, most, num_done
        for _ in range(50):
            assert line.wait(10)
            inside += 1
            most = max(most, inside)
            time.sleep(0.0002)
            inside -= 1
            num_done += 1
            line.leave()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, num_done) == (1, 300)
    assert Path(f"{tmp_path / 'db'}-line").exists()
