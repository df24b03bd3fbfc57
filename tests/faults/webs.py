"""Web processes of one installed product, as the product starts them; they can be killed, and started again on their port."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 60


@dataclass(slots=True)
class Webs:
    """`mutant` names a break of `tests.faults.mutants` that every process is started with; empty is the product as it is."""

    environment: dict[str, str]
    log: Path
    mutant: str = ""
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def ports(self) -> list[int]:
        return list(self.processes)

    def start(self, port: int) -> None:
        module = ["tests.faults.mutants", self.mutant] if self.mutant else ["daphne"]
        with self.log.open("ab") as log:
            self.processes[port] = subprocess.Popen(
                [sys.executable, "-m", *module, "-v", "0", "-b", "127.0.0.1", "-p", str(port), "config.asgi:application"],
                env=self.environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, port: int) -> None:
        process = self.processes[port]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)

    def leave(self, port: int) -> int:
        """As a deploy has it: the process is told to end, and has 20 s; its exit status."""
        process = self.processes[port]
        process.terminate()
        return process.wait(20)

    async def leave_and_start(self, port: int) -> int:
        """As `leave`; returns once it answers again."""
        status = await asyncio.to_thread(self.leave, port)
        self.start(port)
        await asyncio.to_thread(self.wait, port)
        return status

    async def kill_and_start(self, port: int) -> None:
        """Returns once it answers again."""
        await asyncio.to_thread(self.kill, port)
        self.start(port)
        await asyncio.to_thread(self.wait, port)

    def wait(self, port: int) -> None:
        until = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                if time.monotonic() > until or self.processes[port].poll() is not None:
                    raise RuntimeError(f"It did not start: {self.log.read_text()[-3000:]}") from None
                time.sleep(0.05)
            else:
                return

    def end(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


@contextmanager
def webs(environment: dict[str, str], *, log: Path, count: int = 2, mutant: str = "") -> Iterator[Webs]:
    found = Webs(environment, log, mutant)
    try:
        for _ in range(count):
            found.start(free_port())
        for port in found.ports:
            found.wait(port)
        yield found
    finally:
        found.end()
