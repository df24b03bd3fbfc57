"""Private servers for tests: PostgreSQL and Redis, each in a folder of its own, gone when the test is."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest


@dataclass(slots=True)
class Server:
    """A running server: where it is, and the means to kill it and to start it again."""

    url: str
    command: list[str]
    user: str | None
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, user=self.user, group=self.user, start_new_session=True,
                env={"PATH": os.environ["PATH"], "LANG": "C"}, cwd=self.folder,
            )  # fmt: skip

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """As a power cut would, unless another signal is named."""
        if self.process is not None and self.process.poll() is None:
            if signum == signal.SIGKILL:
                os.killpg(self.process.pid, signum)
            else:
                self.process.send_signal(signum)
            self.process.wait(30)


@contextmanager
def postgres(*, like: Path | None = None) -> Iterator[Server]:
    """PostgreSQL with commits that wait for the disk, as in production; its `url` is for STEADYHAND_DATABASE_URL.

    With a copy of the data folder `like`, of a server that has ended, or with an empty database.
    """
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    found = str(binaries[-1]) if binaries else shutil.which("postgres")
    if not found:
        pytest.skip("PostgreSQL is not installed (no bin/postgres)")
    user = unprivileged("postgres")
    with folder_of(user) as folder:
        if like is None:
            initdb = [str(Path(found).with_name("initdb")), "-D", "data", "-U", "steadyhand", "-A", "trust", "-E", "UTF8",
                      "--no-locale", "--no-sync"]  # fmt: skip
            subprocess.run(initdb, check=True, capture_output=True, user=user, group=user, cwd=folder)
        else:
            subprocess.run(["cp", "-a", str(like), str(folder / "data")], check=True)  # with its owner
        command = [found, "-D", "data", "-k", str(folder), "-c", "listen_addresses="]
        server = Server(f"postgres://steadyhand@/postgres?host={folder}", command, user, folder)
        server.start()
        try:
            wait_for(folder / ".s.PGSQL.5432", server)
            wait_until_it_answers(server)
            yield server
        finally:
            server.kill(signal.SIGQUIT)


@contextmanager
def redis() -> Iterator[Server]:
    """Redis on a port of its own; its `url` is for STEADYHAND_REDIS_URL."""
    found = shutil.which("redis-server")
    if not found:
        pytest.skip("Redis is not installed (no redis-server)")
    with folder_of(None) as folder:
        port = free_port()
        command = [found, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder),
                   "--unixsocket", str(folder / "redis.sock")]  # fmt: skip
        server = Server(f"redis://127.0.0.1:{port}/0", command, None, folder)
        server.start()
        try:
            wait_for(folder / "redis.sock", server)
            yield server
        finally:
            server.kill()


@contextmanager
def folder_of(user: str | None) -> Iterator[Path]:
    # Short, as a socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sh-", ignore_cleanup_errors=True) as name:
        if user:
            shutil.chown(name, user, user)
        yield Path(name)


def unprivileged(name: str) -> str | None:
    """Who a server that refuses to run as root runs as; skips where there is nobody of that name."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        pytest.skip(f"PostgreSQL refuses to run as root, and there is no user called {name}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_answers(server: Server, *, seconds: float = 60) -> None:
    """Its socket is there before it takes anybody in."""
    until = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(server.url).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def wait_for(path: Path, server: Server, *, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until or (server.process is not None and server.process.poll() is not None):
            raise RuntimeError(f"It did not start: {(server.folder / 'server.log').read_text()[-2000:]}")
        time.sleep(0.05)
