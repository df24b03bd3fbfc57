"""The training process of a run: started in a session of its own, with a short environment, dead when its worker is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from runs import launch
from training import contract

LOG = "process.log"  # what it printed
RUN_VARIABLE = "STEADYHAND_RUN"  # in the environment of every process of a run: its id and the fence of its claim
TAIL_LINES = 40
# Secrets of the product (keys, database and broker addresses) are not among what a trainer may see; of the keys of
# endpoints, a run sees the one that its recipe names.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHASHSEED",
    "STEADYHAND_VLLM",
)
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
    "VLLM_CPU_",
    "VLLM_CACHE_",
)
KEYS = "STEADYHAND_KEY_"


class Child:
    """One process group that works in one run's folder."""

    def __init__(self, folder: Path, *, fence: int) -> None:
        self._folder = folder
        self._fence = fence
        end_processes(folder.name, up_to=fence)  # two must never write to one folder
        self._oom_kills = oom_kills()
        (folder / LOG).unlink(missing_ok=True)  # the tail must be of this attempt
        with (folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-S", launch.__file__, str(os.getpid()), *settings.TRAINING_COMMAND, str(folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=Path(contract.__file__).parents[1], env=environment(f"{folder.name}:{fence}", key=key_variable(folder)),
            )  # fmt: skip

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
        """Ends whatever is left of it, processes that it started in sessions of their own as well."""
        self.kill()
        end_processes(self._folder.name, up_to=self._fence)

    def tail(self) -> str:
        """The last lines that it printed."""
        with (self._folder / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            lines = log.read().decode(errors="replace").replace("\x00", "\ufffd").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed for want of memory while it ran, and killed it."""
        return self.exit_code() == -signal.SIGKILL and oom_kills() > self._oom_kills


def key_variable(folder: Path) -> str:
    """Of the recipe, or of the endpoint in it, which is a field of methods that may do without one."""
    recipe = contract.read_spec(folder).recipe
    told = recipe.get("endpoint") or recipe
    name = str(told.get("key_variable", ""))
    return name if name.startswith(KEYS) else ""


def environment(mark: str, *, key: str = "") -> dict[str, str]:
    """The trainer's environment: what is on the list, the endpoint's `key` variable, and one thread a core unless the
    place says otherwise."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name == key or name.startswith(PASSED_ON_PREFIXES)
    }
    return {"OMP_NUM_THREADS": str(settings.TRAINING_THREADS), "PYTHONUNBUFFERED": "1", **passed, RUN_VARIABLE: mark}


def processes_of(run_id: str) -> dict[int, int]:
    """The process ids of this machine that work for a run, each with the fence of its claim, whoever started it.

    Read from their environments: an id that was written down could be somebody else's by now, and a group may outlive
    its leader.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended, or is another user's
            for entry in (process / "environ").read_bytes().split(b"\0"):
                if entry.startswith(f"{RUN_VARIABLE}={run_id}:".encode()):
                    found[int(process.name)] = int(entry.rpartition(b":")[2])
    return found


def end_processes(run_id: str, *, up_to: int) -> None:
    """Kills what works for a run under a claim up to that fence: never what a later claim has started."""
    for pid, fence in processes_of(run_id).items():
        if fence <= up_to:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def oom_kills() -> int:
    """How often the kernel of this machine has killed a process for want of memory."""
    with suppress(OSError), Path("/proc/vmstat").open() as counters:
        for line in counters:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
