"""A training process without the mathematics: the real seam (lock, spec, events, manifest) around a method that only counts.

`trainer.py BEHAVIOUR RUN_DIR`, where BEHAVIOUR is one word of those below and perhaps a number: `count:20`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training import __main__ as program
from training.context import RunContext, Stopped
from training.contract import Failure, write_atomically

STEP_S = 0.02


def count(context: RunContext, argument: str) -> dict[str, object]:
    """Counts to `argument`, a step every 20 ms, with a checkpoint after each; writes what it counted to."""
    place = context.checkpoints / "step.json"
    first = json.loads(place.read_text()) if place.exists() else 0
    total = int(argument or 5)
    context.log(f"attempt {context.spec.attempt} begins at {first}")
    for step in range(first + 1, total + 1):
        if context.stop_requested:
            raise Stopped
        time.sleep(STEP_S)
        context.progress("count", step, total)
        context.metric(step, counted=step)
        write_atomically(place, json.dumps(step))  # a kill before this line repeats the step, and says it again
    return finish(context, total)


def finish(context: RunContext, total: int) -> dict[str, object]:
    kind = type(context.recipe).output
    if kind == "dataset":
        write_rows(context, total)
    else:
        (context.output / "config.json").write_text(json.dumps({"counted": total}))
    return {"counted": total, "num_parameters": total}


def write_rows(context: RunContext, total: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"id": str(i), "prompt_id": "p", "index": i, "text": "Hello", "seed": 0, "temperature": 1.0, "top_p": 1.0,
         "num_tokens": 1, "ended": True, "logprob": -1.0}
        for i in range(total)
    ]  # fmt: skip
    (context.output / "data").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), context.output / "data" / "train-00000-of-00001.parquet")


def adapter(context: RunContext, argument: str) -> dict[str, object]:
    """Leaves an adapter instead of a whole model."""
    (context.output / "adapter_config.json").write_text("{}")
    return finish(context, 1)


def crash(context: RunContext, argument: str) -> dict[str, object]:
    print("about to divide", flush=True)
    raise ZeroDivisionError("no loss to divide by")


def refuse(context: RunContext, argument: str) -> dict[str, object]:
    raise Failure("no_rows", "The dataset has no row to train on.", advice="Rank a few tasks first.")


def starve(context: RunContext, argument: str) -> dict[str, object]:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1099511627776 bytes.")


def die(context: RunContext, argument: str) -> dict[str, object]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def deaf(context: RunContext, argument: str) -> dict[str, object]:
    """Hears no SIGTERM, and has a process of its own that hears none either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if (child := os.fork()) == 0:
        time.sleep(60)
        os._exit(0)
    context.log(f"grandchild {child}")
    time.sleep(60)
    return {}


def fill(context: RunContext, argument: str) -> dict[str, object]:
    """Writes until the disk is full."""
    with (context.checkpoints / "big").open("wb") as file:
        while True:
            file.write(b"\0" * 1_000_000)


def look(context: RunContext, argument: str) -> dict[str, object]:
    """Tells what it can see of its environment."""
    context.log(json.dumps(dict(os.environ)))
    context.sample(1, prompt="a\0b", text="c\0d")
    return finish(context, 1)


def tamper(context: RunContext, argument: str) -> dict[str, object]:
    """Its first attempt has other bytes in its output than in its manifest: `main` sees to that, as a bad disk would."""
    return finish(context, 1)


def main(behaviour: str, run_dir: str) -> int:
    name, _, argument = behaviour.partition(":")
    spec = json.loads((Path(run_dir) / "spec.json").read_text())
    method = ModuleType("method")
    act = globals()[name]
    method.run = lambda context: act(context, argument)  # type: ignore[attr-defined]
    sys.modules[f"training.methods.{spec['method']}"] = method
    code = program.main(["run", run_dir])
    if name == "tamper" and spec["attempt"] == 1:
        (Path(run_dir) / "output" / "config.json").write_text("other bytes")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
