"""The training process of a run: started in a session of its own, with a short environment, dead when its worker is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from runs import launch
from training import contract

PROCESS = "process.json"  # which process works in this folder: another worker may have to end it
LOG = "process.log"  # what it printed
TAIL_LINES = 40
# Secrets of the product (keys, database and broker addresses) are not among what a trainer may see.
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHASHSEED")
PASSED_ON_PREFIXES = (
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "OMP_",
    "MKL_",
    "TORCH_",
    "PYTORCH_",
    "ACCELERATE_",
    "HF_HOME",
)


class Child:
    """One process group that works in one run's folder."""

    def __init__(self, folder: Path) -> None:
        end_leftover(folder)
        self._folder = folder
        self._oom_kills = oom_kills()
        (folder / LOG).unlink(missing_ok=True)  # the tail must be of this attempt
        with (folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-S", launch.__file__, str(os.getpid()), *settings.TRAINING_COMMAND, str(folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=Path(contract.__file__).parents[1], env=environment(),
            )  # fmt: skip
        contract.write_atomically(folder / PROCESS, json.dumps(identity(self._process.pid)))

    def exit_code(self) -> int | None:
        """None while it works; -N where signal N ended it."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, signum: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.killpg(self._process.pid, signum)

    def close(self) -> None:
        """Ends whatever of the group is left, so that nothing of ours outlives its supervisor."""
        self.kill()
        (self._folder / PROCESS).unlink(missing_ok=True)

    def tail(self) -> str:
        """The last lines that it printed."""
        with (self._folder / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            lines = log.read().decode(errors="replace").replace("\x00", "\ufffd").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed for want of memory while it ran, and killed it."""
        return self.exit_code() == -signal.SIGKILL and oom_kills() > self._oom_kills


def environment() -> dict[str, str]:
    """The trainer's environment: what is on the list, and one thread a core unless the place says otherwise."""
    passed = {
        name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    return {"OMP_NUM_THREADS": str(settings.TRAINING_THREADS), "PYTHONUNBUFFERED": "1", **passed}


def identity(pid: int) -> dict[str, str | int]:
    """Names one process for ever: an id alone is given again. Raises `FileNotFoundError` where there is none."""
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]  # ticks since boot, proc(5)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"host": socket.gethostname(), "boot": boot, "pid": pid, "started": started}


def end_leftover(folder: Path) -> None:
    """Kills the process group that an earlier worker of this host left in the folder: two must never write there."""
    with suppress(FileNotFoundError, ProcessLookupError):
        seen = json.loads((folder / PROCESS).read_text())
        if identity(seen["pid"]) == seen:
            os.killpg(seen["pid"], signal.SIGKILL)


def oom_kills() -> int:
    """How often the kernel of this machine has killed a process for want of memory."""
    with suppress(OSError), Path("/proc/vmstat").open() as counters:
        for line in counters:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
