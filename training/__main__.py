"""`python -m training run RUN_DIR`: does what the folder's spec says, and leaves events, output and manifest there.

Exit codes: 0 done (a manifest was written), 3 an expected failure (failure.json), 75 the folder is held by another
process, 143 stopped on request (a checkpoint was written). Anything else is a crash.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import math
import os
import platform
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from training import contract, machine
from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics.estimate import report
from training.mechanics.estimate.probe import Probed
from training.ranks import Ranks

USAGE = "usage: python -m training run RUN_DIR"

# Nothing is fetched and nobody is told: models come from the folder's inputs alone.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}

# torch's threads wait for each other by spinning. On cores that the web server and others use too, spinning for long made
# a small model's step many times slower; falling asleep at once made it 3 times slower on idle cores. So: spin, shortly.
# Read when torch is loaded.
THREADS = {"GOMP_SPINCOUNT": "2000"}

# On a CPU oneDNN keeps a program for each shape of matrices that it has met, up to 1,024 of them: a run of many shapes held a
# sixth more memory than with 256 of them, and was no faster (docs/estimate.md). With 128, one was 9 % slower.
PROGRAMS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] != "run":
        print(USAGE, file=sys.stderr)
        return 2
    gc.disable()  # until all is loaded: looking for garbage in a million objects that stay took a fifth of the start
    os.environ.update(OFFLINE)
    for name, value in (THREADS | PROGRAMS).items():
        os.environ.setdefault(name, value)
    return run(Path(argv[1]).resolve(), began=machine.process_began())


def run(run_dir: Path, *, began: float | None = None) -> int:
    """Exit code. `began`: when the run's time began, by `time.monotonic()`."""
    with (run_dir / contract.LOCK).open("w") as lock:
        try:
            # Two trainers in one folder would tear each other's checkpoints; the kernel frees this lock with the process.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return contract.EXIT_BUSY
        if (run_dir / contract.MANIFEST).exists():
            return contract.EXIT_DONE  # done before: running a finished run again changes nothing
        (run_dir / contract.FAILURE).unlink(missing_ok=True)
        try:
            return in_one_or_several(run_dir, began=began)
        except Failure as failure:
            contract.write_failure(run_dir, failure)
            print(f"{failure.code}: {failure.sentence}", file=sys.stderr)
            return contract.EXIT_FAILED


def in_one_or_several(run_dir: Path, *, began: float | None) -> int:
    context = RunContext.open(run_dir)
    parallel = getattr(context.recipe, "parallel", None)
    if parallel is None or parallel.processes == 1:
        return work_in(context, began=began)
    if context.probe is not None:
        raise Failure(
            "no_estimate",
            "A run in several processes can't be probed: each would leave its loops at another moment.",
            advice="Estimate the same recipe with one process: its FLOPs and its memory are those of each, or more.",
        )
    context.events.close()
    import_method(context)  # once, for all of them
    together: Any = importlib.import_module("training.processes")  # torch, which the environment above must precede
    # A process that is started anew finds nothing in `__main__`.
    named: Any = importlib.import_module("training.__main__")
    code: int = together.run_together(run_dir, partial(named.work, began=began), parallel)
    return code


def import_method(context: RunContext) -> Any:
    method = importlib.import_module(f"training.methods.{context.spec.method}")
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return method


def work(run_dir: Path, ranks: Ranks, *, began: float | None = None) -> int:
    """What one process does of a run; raises `Failure`."""
    return work_in(RunContext.open(run_dir, ranks), began=began)


def work_in(context: RunContext, *, began: float | None) -> int:
    began = time.monotonic() if began is None else began
    if context.probe is not None:
        context.probe.began = began
        report.begin_anew(context)

    def ask_to_stop(signum: int, frame: FrameType | None) -> None:
        context.ask_to_stop()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # as `run_together` has blocked it
    try:
        metrics = estimated(context) if context.probe is not None else import_method(context).run(context)
    except Stopped:
        context.log("Stopped on request; the checkpoint is kept.")
        return contract.EXIT_STOPPED
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise Failure(
                "disk_full",
                "The disk is full; the last good checkpoint was kept.",
                advice="Free space, then resume the run.",
            ) from error
        raise
    except RuntimeError as error:
        if not contract.is_out_of_memory(error):
            raise
        raise Failure(
            "out_of_memory",
            "The run needs more memory than this machine has free; the last good checkpoint was kept.",
            advice="Lower batch_size or max_length, train an adapter with bf16, or choose a machine with more memory.",
        ) from error
    finally:
        with suppress(OSError):  # a full disk, which is told already
            context.used(machine.used(began))
    if not context.ranks.is_first:
        return contract.EXIT_DONE
    kind = "report" if context.probe is not None else context.recipe.output
    if kind == "model":
        metrics.setdefault("num_parameters", num_parameters(context.output))
    context.end(metrics)
    contract.write_manifest(
        context.dir,
        kind=kind,
        metrics=metrics,
        method=context.spec.method,
        seed=context.spec.seed,
        inputs={name: given.sha256 for name, given in context.spec.inputs.items()},
        versions=versions(),
        used=machine.used(began),
    )
    return contract.EXIT_DONE


def estimated(context: RunContext) -> dict[str, Any]:
    """Probes the method instead of doing its work; the figures of the estimate, whose report is all that is left."""
    assert context.probe is not None
    method = import_method(context)
    counter = None
    if "torch" in sys.modules and not getattr(context.recipe, "compiled", False):  # a compiled graph calls no hooks
        counter = importlib.import_module("training.mechanics.estimate.counting").Counter(context.probe)
    try:
        method.run(context)
    except Probed:
        context.log(f"The probe ended in the phase {context.probe.left_in}: what would follow it is not known.")
    finally:
        if counter is not None:
            counter.close()
    return report.finish(context, context.probe)


def num_parameters(folder: Path) -> int:
    """The numbers stored in a model's safetensors, counted from their headers; of an adapter, its own."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    return total


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("torch", "transformers", "trl", "peft"):
        if name in sys.modules:
            found[name] = str(sys.modules[name].__version__)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
