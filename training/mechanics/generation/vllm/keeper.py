"""Keeps a server from outliving the run that started it: `keeper.py FOLDER COMMAND...`, run as a file, in a session of its own.

The run holds the other end of standard input. However the run ends, kill -9 included, the kernel closes that end; then the
server and all that it has started are ended, and FOLDER, which holds its socket, is removed. vLLM alone would stay: its
processes watch each other, but nobody watches for whoever started them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GRACE_S = 5.0  # for a server that was asked to end
CLEANING_S = 2.0  # for Python's tracker of shared memory, which removes it when all who used it are gone
TRACKER = b"multiprocessing.resource_tracker"


def main(folder: str, command: list[str]) -> None:
    if os.getpgrp() != os.getpid():
        sys.exit("It must lead a process group, for it ends all of its group.")
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder)
    orphaned = threading.Event()
    threading.Thread(target=end_with, args=(server, folder, orphaned), daemon=True).start()
    while sys.stdin.buffer.read(1):
        pass  # nothing is ever said: this waits for the end of the file
    orphaned.set()
    with suppress(subprocess.TimeoutExpired):
        server.terminate()
        server.wait(GRACE_S)
    for pid, told in others():
        if TRACKER not in told:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    let_go()
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def end_with(server: subprocess.Popen[bytes], folder: str, orphaned: threading.Event) -> None:
    """With the server's own exit code, where that ends by itself; the run then ends what is left of the group."""
    code = server.wait()
    if orphaned.is_set():
        return  # it was ended from here, and the rest of its group is yet to be
    let_go()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(code if code >= 0 else 128 - code)


def let_go() -> None:
    until = time.monotonic() + CLEANING_S
    while any(others()) and time.monotonic() < until:
        time.sleep(0.02)


def others() -> Iterator[tuple[int, bytes]]:
    """The living processes of this group but this one, with their command lines."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
            if state != "Z" and int(group) == os.getpgrp() and int(process.name) != os.getpid():
                yield int(process.name), (process / "cmdline").read_bytes()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
