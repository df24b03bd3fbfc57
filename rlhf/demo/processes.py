"""The demo's processes under one parent: the web server, the two workers, and the one that tells how far things are."""

from __future__ import annotations

import shlex
import socket
import sys
from typing import TextIO

from django.conf import settings
from honcho import manager
from honcho.printer import Message, Printer

QUIET = {"system"}  # the parent's own lines about process ids


class PlainPrinter(Printer):  # type: ignore[misc]  # honcho has no types
    """Leaves out what honcho says about itself: people read these lines."""

    def write(self, message: Message) -> None:
        if message.name not in QUIET:
            super().write(message)


def free_port(wanted: int) -> int:
    """`wanted`, or the next one above it that nobody listens on."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"No port from {wanted} to {wanted + 99} is free.")


def commands(port: int) -> dict[str, list[str]]:
    celery = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "celery",
        "-A",
        "config",
        "--quiet",
        "worker",
        "--loglevel",
        "WARNING",
    ]
    beat = str(settings.STEADYHAND_HOME / "beat")
    return {
        "web": [sys.executable, "-m", "config.server", "-p", str(port)],
        # Runs have a worker of their own: a sweep or an import must not wait behind an hour of training.
        "runs": [*celery, "--pool", "threads", "-c", "1", "-Q", "runs", "-n", "runs@%h"],
        "tasks": [*celery, "-c", "1", "-B", "-Q", "default", "-n", "tasks@%h", "--schedule", beat],
        "demo": [sys.executable, str(settings.BASE_DIR / "manage.py"), "demo", "--follow"],
    }  # fmt: skip


def serve(port: int, *, out: TextIO) -> int:
    """Runs until Ctrl-C or until one of the processes ends, then stops the others. Returns the exit code."""
    manager.KILL_WAIT = 40  # seconds: a run that is stopped writes its checkpoint first
    parent = manager.Manager(PlainPrinter(out, time_format="%H:%M:%S"))
    for name, argv in commands(port).items():
        parent.add_process(name, shlex.join(argv), cwd=str(settings.BASE_DIR))
    parent.loop()
    interrupted = parent.returncode in (130, 143)  # people end the demo with Ctrl-C: that is no error
    return 0 if interrupted else int(parent.returncode or 0)
