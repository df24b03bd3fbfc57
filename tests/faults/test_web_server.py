"""The web server as several processes: one that dies is started again, and all of them end when they are told to."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.houses import Houses
from tests.faults.sites import ROOT
from tests.servers import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def server(houses: Houses, tmp_path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    site, port = houses.new(tmp_path / "home"), free_port()
    command = [sys.executable, "-m", "config.server", "-p", str(port), "--processes", "2"]
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(command, env=site.env(), cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        assert within(60, lambda: answers(port)), (tmp_path / "web.log").read_text()
        yield process, port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/login/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def children(process: subprocess.Popen[bytes]) -> set[int]:
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(number) for number in told.split()}


def test_a_process_that_dies_is_started_again_and_the_address_answers_all_the_while(server):
    process, port = server
    before = children(process)
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    assert answers(port)
    assert within(10, lambda: len(children(process) - {min(before)}) == 2)
    assert max(before) in children(process)
    assert answers(port)


def test_told_to_end_it_ends_with_all_its_processes(server):
    process, port = server
    mine = children(process)
    process.terminate()
    assert process.wait(20) == 0
    assert not answers(port)
    assert not [number for number in mine if Path(f"/proc/{number}").exists()]
