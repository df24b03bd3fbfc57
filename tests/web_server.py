"""The web server as it is run: ASGI, a home and a database of its own, gone when the test is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.accounts.people import PASSWORD

ROOT = Path(__file__).resolve().parents[1]


@dataclass(slots=True)
class WebServer:
    """`grace`, an admin, has PASSWORD here."""

    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def manage(self, *arguments: str) -> None:
        manage(self.environment, *arguments)

    def kill(self) -> None:
        """As the kernel does it when memory is short: nothing is finished, nothing is told."""
        self.process.kill()
        self.process.wait(20)

    def start(self) -> None:
        """Again, at the same address, after `kill`."""
        self.process = serve(self.port, self.environment)


def manage(environment: dict[str, str], *arguments: str) -> None:
    """Runs a command of the same installation in a process of its own."""
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=120, stdout=subprocess.DEVNULL)


@contextmanager
def web_server(home: Path, *, like: Path | None = None) -> Iterator[WebServer]:
    """In a copy of the home `like`, or of what is `installed`."""
    shutil.copytree(like or Path(installed().name), home, symlinks=True, dirs_exist_ok=True)
    environment = environment_of(home)
    port = free_port()
    web = WebServer(port, environment, serve(port, environment))
    try:
        yield web
    finally:
        web.process.terminate()
        web.process.wait(20)


@cache
def installed() -> tempfile.TemporaryDirectory[str]:
    """A home with migrated tables, collected files and `grace`: made once a process, and gone with it."""
    folder = tempfile.TemporaryDirectory(prefix="installed-")
    environment = environment_of(Path(folder.name))
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "collectstatic", "--no-input", "--verbosity", "0")
    manage(environment, "create_user", "grace", "--role", "admin")
    return folder


def environment_of(home: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("STEADYHAND_", "DJANGO_"))}
    return inherited | {
        "STEADYHAND_HOME": str(home),
        "STEADYHAND_PASSWORD": PASSWORD,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
    }


def serve(port: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "config.asgi:application"],
        env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until_it_answers(port, process)
    except BaseException:
        process.kill()
        raise
    return process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError("the web server did not start") from None
            time.sleep(0.1)
        else:
            return
