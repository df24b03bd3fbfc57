"""`python -m training run RUN_DIR`: does what the folder's spec says, and leaves events, output and manifest there.

Exit codes: 0 done (a manifest was written), 3 an expected failure (failure.json), 75 the folder is held by another
process, 143 stopped on request (a checkpoint was written). Anything else is a crash.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import math
import os
import platform
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from training import contract
from training.context import RunContext, Stopped
from training.contract import Failure
from training.ranks import Ranks

USAGE = "usage: python -m training run RUN_DIR"

# Nothing is fetched and nobody is told: models come from the folder's inputs alone.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}

# torch's threads wait for each other by spinning. On cores that the web server and others use too, spinning for long made
# a small model's step many times slower; falling asleep at once made it 3 times slower on idle cores. So: spin, shortly.
# Read when torch is loaded.
THREADS = {"GOMP_SPINCOUNT": "2000"}


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] != "run":
        print(USAGE, file=sys.stderr)
        return 2
    os.environ.update(OFFLINE)
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    return run(Path(argv[1]).resolve())


def run(run_dir: Path) -> int:
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
            return in_one_or_several(run_dir)
        except Failure as failure:
            contract.write_failure(run_dir, failure)
            print(f"{failure.code}: {failure.sentence}", file=sys.stderr)
            return contract.EXIT_FAILED


def in_one_or_several(run_dir: Path) -> int:
    context = RunContext.open(run_dir)
    parallel = getattr(context.recipe, "parallel", None)
    if parallel is None or parallel.processes == 1:
        return work(run_dir, context.ranks)
    context.events.close()
    import_method(context)  # once, for all of them
    together: Any = importlib.import_module("training.processes")  # torch, which the environment above must precede
    named: Any = importlib.import_module(
        "training.__main__"
    )  # a process that is started anew finds nothing in `__main__`
    code: int = together.run_together(run_dir, named.work, parallel)
    return code


def import_method(context: RunContext) -> Any:
    return importlib.import_module(f"training.methods.{context.spec.method}")


def work(run_dir: Path, ranks: Ranks) -> int:
    context = RunContext.open(run_dir, ranks)

    def ask_to_stop(signum: int, frame: FrameType | None) -> None:
        context.ask_to_stop()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # as `run_together` has blocked it
    method = import_method(context)
    try:
        metrics = method.run(context)
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
    if not ranks.is_first:
        return contract.EXIT_DONE
    recipe = type(context.recipe)
    if recipe.output == "model":
        metrics.setdefault("num_parameters", num_parameters(context.output))
    context.end(metrics)
    contract.write_manifest(
        run_dir,
        kind=recipe.output,
        metrics=metrics,
        method=context.spec.method,
        seed=context.spec.seed,
        inputs={name: given.sha256 for name, given in context.spec.inputs.items()},
        versions=versions(),
    )
    return contract.EXIT_DONE


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
