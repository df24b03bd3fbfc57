"""Becomes the training process: `launch.py PARENT_PID COMMAND...`. Run as a file, without Django.

Between fork and exec only async-signal-safe calls are allowed in a process with threads, so what a child must set up
for itself is done here, in an interpreter of its own.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
NICER = 5  # people who rank on this machine go before training
OOM_SCORE = 500  # when memory runs out, the kernel takes the trainer, not the supervisor that can tell what happened


def main(parent: int, command: list[str]) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("The worker died before its training process began.")
    be_nicer()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    os.execvp(command[0], command)  # noqa: S606  (an argv list of our own)


def be_nicer() -> None:
    """Where the kernel groups processes by session, as on a desktop, niceness counts within a session alone: the group's too."""
    os.nice(NICER)
    with suppress(OSError):  # a kernel that doesn't group has no such file
        Path("/proc/self/autogroup").write_text(str(NICER))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
