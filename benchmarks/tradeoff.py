"""What fine-tuning costs, gives and forgets: all weights, LoRA, prompt and prefix tuning side by side, and QLoRA on a GPU.

`make bench-tradeoff`; with TINY=1 on a model of two layers, to see that it runs. Every row of the table is an `sft` run of
the real program on SmolLM2-135M-Instruct with the demo's questions and answers about the State of the Union addresses, and
`measure` runs set the models beside the one before: on conversations about held-out addresses, and on what none of them was
taught, the reference of the Python language that comes with Python (`pydoc_data`). TALKS bounds the conversations, PER_ADDRESS
those about one address, EPOCHS is how often they are read, HELD_OUT bounds those that are measured, TEXTS the general ones, SIDES
names the adapters; OUT keeps what was run in a folder.

Each side has one learning rate, of the size that its authors use, and is not tuned further; RATE is another one, BATCH another
size of batches. VALIDATE=1 measures on conversations of the training split that were not learned, to choose such things by.
`ratio` is what LoRA's held-out loss falls, over what that of all weights does.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch

from benchmarks import bench, pairs
from benchmarks.runs import Finished, dataset, output, run, say
from rlhf.demo import corpus, instructions
from training.contract import Input
from training.recipes.measure import MODELS

TALKS = int(os.environ.get("TALKS", "64" if pairs.TINY else "1000"))
HELD_OUT = int(os.environ.get("HELD_OUT", "24" if pairs.TINY else "120"))
TEXTS = int(os.environ.get("TEXTS", "4" if pairs.TINY else "24"))
CUT = 2000  # characters of a general text

PER_ADDRESS = int(os.environ.get("PER_ADDRESS", instructions.PER_ADDRESS))
VALIDATE = os.environ.get("VALIDATE") == "1"
RATES = {"none": 1e-4, "lora": 5e-4, "qlora": 5e-4, "prompt": 1e-2, "prefix": 1e-2}
if told := os.environ.get("RATE"):
    RATES = dict.fromkeys(RATES, float(told))
TITLES = {"none": "all weights", "lora": "LoRA", "qlora": "QLoRA", "prompt": "prompt", "prefix": "prefix"}
EPOCHS = float(os.environ.get("EPOCHS", "1"))
TRAINED = {
    "epochs": EPOCHS,
    "batch_size": int(os.environ.get("BATCH", "16")),
    "max_length": 256,
    "eval_every": 10_000,
    "bf16": True,
}
MEASURED = {"rows": max(HELD_OUT, TEXTS), "max_length": 512, "max_new_tokens": 64, "batch_size": 16, "bf16": True}
COLUMNS = (
    "trained", "minutes", "cpu min", "peak GiB", "held-out loss", "change", "ROUGE-L", "exact", "ended", "general, bits a byte",
    "forgotten (95 %)",
)  # fmt: skip
MEASURED_BEFORE = ("loss", "rouge_l", "exact_match", "ended", "general")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One way to fine-tune: the run that did, and its model beside the one before, as `measure` reports them."""

    adapter: str
    tuned: Finished
    before: Row
    after: Row


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(os.environ.get("OUT", home))
        sides = compare(folder)
        table(sides)
        told = {side.adapter: facts_of(side) for side in sides}
    lost = {name: found["loss_before"] - found["loss"] for name, found in told.items()}
    # A run of a single step has learned nothing: its rate begins at 0.
    ratio = round(lost["lora"] / lost["none"], 3) if "lora" in lost and lost.get("none") else None
    line = {
        "bench": "tradeoff", "ratio": ratio,
        "at_least": 0.5, "machine": bench.machine(), "torch": torch.__version__, "tiny": pairs.TINY, "talks": TALKS,
        "held_out": HELD_OUT, "validated": VALIDATE, "texts": TEXTS, "rates": RATES,
        "minutes": round((time.monotonic() - began) / 60, 1), "sides": told,
    }  # fmt: skip
    print(json.dumps(line))


def compare(folder: Path) -> list[Side]:
    base = pairs.home_of_model(folder / "model")
    given = list(instructions.rows("train", per_address=PER_ADDRESS))
    held_out = given[TALKS:] if VALIDATE else list(instructions.rows("test"))
    talks = dataset(folder / "talks", given[:TALKS], held_out[:HELD_OUT])
    general = dataset(folder / "general", [], general_texts())
    tuned = {adapter: tune(folder / f"sft-{adapter}", adapter, base, talks) for adapter in adapters()}
    return measured(folder, base, tuned, {"instructions": talks, "corpus": general})


def adapters() -> list[str]:
    """Those that SIDES names, or all that this machine can do."""
    has_qlora = torch.cuda.is_available() and find_spec("bitsandbytes") is not None
    told = os.environ.get("SIDES")
    return told.split(",") if told else [name for name in RATES if name != "qlora" or has_qlora]


def general_texts() -> list[Row]:
    """Of the reference of the Python language, in an order by hash: the first few are a fair sample of all."""
    whole = [(name, text.strip()) for name, text in topics.items() if len(text) > CUT]
    found = [{"id": name, "text": text[:CUT], "source": f"Python {sys.version_info.major}.{sys.version_info.minor}"}
             for name, text in whole]  # fmt: skip
    return sorted(found, key=lambda row: corpus.share(row["text"]))[:TEXTS]


def tune(folder: Path, adapter: str, base: Input, talks: Input) -> Finished:
    changes = TRAINED | {"adapter": adapter, "learning_rate": RATES[adapter], "sample_tokens": 0}
    found = run(folder, "sft", changes, {"model": base, "instructions": talks}, preset="demo")
    say(f"{TITLES[adapter]}: {found.seconds / 60:.1f} minutes, {found.cpu_seconds / 60:.1f} of processors")
    return found


def measured(folder: Path, base: Input, tuned: dict[str, Finished], sets: dict[str, Input]) -> list[Side]:
    """As many models in a measurement as it takes, each time beside the model before."""
    names, sides = list(tuned), []
    most = len(MODELS) - 1
    for number, start in enumerate(range(0, len(names), most)):
        some = names[start : start + most]
        after = [
            output(tuned[name].folder, "model", name=name, base=None if name == "none" else base.path) for name in some
        ]
        inputs = dict(zip(MODELS, [base, *after], strict=False))
        done = run(folder / f"measure-{number}", "measure", MEASURED, inputs | sets, preset="demo")
        report = json.loads((done.folder / "output/report.json").read_text())["models"]
        sides += [Side(name, tuned[name], report[0], one) for name, one in zip(some, report[1:], strict=True)]
    return sides


# What is told


def loss_of(model: Row) -> float:
    """Held-out, of the assistant's last answers, in nats a token."""
    found: float = model["figures"]["answers_loss"]
    return found


def facts_of(side: Side) -> Row:
    figures, before = side.after["figures"], side.before["figures"]
    found = {
        "trained": side.after["own_parameters"], "minutes": side.tuned.seconds / 60,
        "cpu_minutes": side.tuned.cpu_seconds / 60, "peak_gib": side.tuned.peak_bytes / 2**30,
        "loss_before": loss_of(side.before), "loss": loss_of(side.after),
        "completion_loss_change": side.tuned.metrics["completion_loss_change"],
        **{f"{name}_before": before[name] for name in ("rouge_l", "exact_match", "ended")},
        **{name: figures[name] for name in ("rouge_l", "exact_match", "ended")},
        "general_before": before["corpus_bits_per_byte"], "general": figures["corpus_bits_per_byte"],
        **{name: figures.get(name) for name in ("forgetting", "forgetting_low", "forgetting_high")},
    }  # fmt: skip
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def table(sides: list[Side]) -> None:
    told = [facts_of(side) for side in sides]
    print(
        f"\n{len(sides)} ways to teach {TALKS} conversations, measured on {HELD_OUT} held out and {TEXTS} general texts\n"
    )
    print(line_of("", list(COLUMNS)) + "\n" + "|---" * (len(COLUMNS) + 1) + "|")
    first = {name: told[0][f"{name}_before"] for name in MEASURED_BEFORE}
    print(line_of("before", ["0", "", "", "", f"{first['loss']:.3f}", "", *quality(first), ""]))
    for side, found in zip(sides, told, strict=True):
        low, high = found["forgetting_low"], found["forgetting_high"]
        ends = f" ({low:+.3f} to {high:+.3f})" if low is not None else ""
        print(line_of(TITLES[side.adapter], [
            f"{found['trained']:,}", f"{found['minutes']:.1f}", f"{found['cpu_minutes']:.1f}", f"{found['peak_gib']:.2f}",
            f"{found['loss']:.3f}", f"{found['loss'] / found['loss_before'] - 1:+.0%}", *quality(found),
            f"{found['forgetting']:+.3f}{ends}",
        ]))  # fmt: skip


def quality(found: Row) -> list[str]:
    return [f"{found[name]:.3f}" for name in ("rouge_l", "exact_match", "ended", "general")]


def line_of(name: str, cells: list[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
