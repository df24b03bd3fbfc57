"""A run in several processes of one machine: they are started together, asked to stop together, and end together.

Where one of them dies the others can do nothing more: they have `GRACE_S` to end by themselves (all may have found the same
fault), then they are killed. Whoever kills the first process kills all of them: each asks the kernel for that.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from training import contract
from training.contract import Failure
from training.mechanics.ranks import Several
from training.ranks import Ranks
from training.recipes.parallel import Parallel

GRACE_S = 10.0
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
ORDERLY = (contract.EXIT_DONE, contract.EXIT_STOPPED)

Work = Callable[[Path, Ranks], int]


def run_together(run_dir: Path, work: Work, parallel: Parallel) -> int:
    """The exit code of all. Raises `Failure("process_lost")` where a signal has ended one of them."""
    # A process that has touched a GPU can't be forked; without one, forks share what this process has imported.
    how: Any = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    meeting = run_dir / f".meeting-{os.getpid()}"
    for left in run_dir.glob(".meeting-*"):  # by a parent that was killed: who has the folder's lock is alone in it
        left.unlink()
    world, is_cut = parallel.processes, parallel.strategy == "fsdp"
    ranks = [Several(rank, world, is_cut) for rank in range(world)]
    started = [how.Process(target=be_one, args=(os.getpid(), run_dir, one, meeting, work)) for one in ranks]

    def ask_all_to_stop(signum: int, frame: FrameType | None) -> None:
        for process in started:
            if process.is_alive():
                process.terminate()

    # Whoever is asked to stop before it can listen is asked once it does.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for process in started:
        process.start()
    signal.signal(signal.SIGTERM, ask_all_to_stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        killed = see_to_the_end(started)
    finally:
        meeting.unlink(missing_ok=True)
    return code_of(started, killed=killed)


def see_to_the_end(started: list[BaseProcess]) -> set[int]:
    """The numbers of those that had to be killed."""
    deadline = None
    while running := [process for process in started if process.exitcode is None]:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            break
        wait([process.sentinel for process in running], timeout=left)
        if deadline is None and any(process.exitcode not in (None, *ORDERLY) for process in started):
            deadline = time.monotonic() + GRACE_S
    killed = {number for number, process in enumerate(started) if process.exitcode is None}
    for number in killed:
        started[number].kill()
        started[number].join()
    return killed


def code_of(started: list[BaseProcess], *, killed: set[int]) -> int:
    codes = {number: process.exitcode or 0 for number, process in enumerate(started) if number not in killed}
    if contract.EXIT_FAILED in codes.values():
        return contract.EXIT_FAILED
    for number, code in codes.items():
        if code < 0:
            name = signal.Signals(-code).name
            raise Failure(
                "process_lost",
                f"Process {number + 1} of {len(started)} was ended by {name}, so the others were stopped too; the last"
                " checkpoint was kept.",
                advice="Where memory had run out, lower batch_size or ask for fewer processes; then resume the run.",
            )
    wrong = [code for code in codes.values() if code not in ORDERLY]
    return wrong[0] if wrong else max(codes.values(), default=1)


def be_one(parent: int, run_dir: Path, ranks: Several, meeting: Path, work: Work) -> None:
    """The life of one of the processes."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    # By these names libraries learn that they are one of several; all of them are on this machine.
    told = {"RANK": ranks.rank, "LOCAL_RANK": ranks.rank, "WORLD_SIZE": ranks.world, "LOCAL_WORLD_SIZE": ranks.world}
    os.environ.update({name: str(value) for name, value in told.items()})
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, torch.get_num_threads() // ranks.world))
    try:
        ranks.join(meeting)
        code = work(run_dir, ranks)
        dist.destroy_process_group()
    except Failure as failure:
        if not (run_dir / contract.FAILURE).exists():  # the first one's is the cause
            contract.write_failure(run_dir, failure)
        sys.stderr.write(f"{failure.code}: {failure.sentence}\n")
        code = contract.EXIT_FAILED
    sys.exit(code)
