"""Reward models of SmolLM2-135M on people's own judgements: held-out accuracy beside its ceiling, length and bags of words.

`STEADYHAND_DATA=... DATA=pandalm make bench-reward_real`; DATA is hh_harmless, finegrained_qa or pandalm. ROWS bounds the
prompts, EPOCHS and MAX_LENGTH what is read of them. A quarter of the prompts is held out; no prompt stands on both sides.
A LoRA in bfloat16, some 25 minutes on two idle cores. Progress goes to stderr, a row of a table and a line of JSON to stdout.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from transformers.utils import logging

from benchmarks import bench, pairs, real_rankings
from benchmarks.bag_of_words import bag_of_words
from benchmarks.real_rankings import Rankings, Row
from training import contract
from training.contract import Spec
from training.mechanics import models
from training.mechanics.datasets import render_conversation

# Rows of prompts, epochs, tokens at most: what two cores train in some 20 minutes at 400 tokens a second.
SIZES = {"hh_harmless": (1700, 2, 400), "finegrained_qa": (500, 3, 320), "pandalm": (999, 5, 448)}
# Where one rater judged each pair, how often two would agree is another's figure.
PUBLISHED = {"hh_harmless": (0.63, "published agreement a = 0.63 (Bai et al. 2022)")}
HELD_OUT = 0.25
TOKENS_PER_SECOND = 400
TOLD = 20  # seconds between two lines of progress


def main() -> None:
    name = os.environ.get("DATA", "pandalm")
    data = os.environ.get("STEADYHAND_DATA", "")
    if name not in real_rankings.SETS or not Path(data).is_dir():
        sys.exit(f"DATA is one of {', '.join(real_rankings.SETS)}; STEADYHAND_DATA is the folder they lie in.")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    rows, epochs, max_length = (
        int(os.environ.get(key, standard))
        for key, standard in zip(("ROWS", "EPOCHS", "MAX_LENGTH"), SIZES[name], strict=True)
    )
    tasks = real_rankings.by_prompt(list(real_rankings.SETS[name](Path(data))))
    random.Random("prompts").shuffle(tasks)
    tasks = tasks[:rows]
    cut = round(len(tasks) * (1 - HELD_OUT))
    with tempfile.TemporaryDirectory() as home:
        given = pairs.home_of_model(Path(home, "model"))
        tokenizer = models.load_tokenizer(given)
        sides = [without_long(some, tokenizer, max_length=max_length) for some in (tasks[:cut], tasks[cut:])]
        (train, train_left), (test, test_left) = sides
        tokens = sum(tokens_of(task, tokenizer) for task in train)
        say(
            f"{name}: {len(train)} prompts to train on, {len(test)} held out; {train_left + test_left} texts are longer"
            f" than {max_length} tokens and left out. {tokens} tokens a pass, {epochs} passes:"
            f" about {tokens * epochs / TOKENS_PER_SECOND / 60:.0f} minutes at {TOKENS_PER_SECOND} tokens a second."
        )
        began = time.monotonic()
        metrics = trained(Path(home, "run"), given, real_rankings.write_dataset(Path(home, "data"), train, test), {
            "epochs": epochs, "max_length": max_length, "batch_size": 4,
            "eval_every": max(1, len(train) * epochs // 4 // 3),
        })  # fmt: skip
        seconds = round(time.monotonic() - began)
    words, words_low, words_high = bag_of_words(train, test)
    texts_left = train_left + test_left
    report(name, metrics, words=(words, words_low, words_high), seconds=seconds, prompts=(len(train), len(test)),
           texts_left_out=texts_left, epochs=epochs, max_length=max_length)  # fmt: skip


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Data


def without_long(tasks: Sequence[Rankings], tokenizer: Any, *, max_length: int) -> tuple[list[Rankings], int]:
    """Rankings without texts of more than `max_length` tokens, here so that every predictor sees the same; and how many."""
    kept, left_out = [], 0
    for task in tasks:
        some = []
        long: set[str] = set()
        for one in task:
            prompt = one["prompt"]
            short = {
                text["id"]
                for text in one["completions"]
                if len(render_conversation(tokenizer, [*prompt, said(text["text"])])) <= max_length
            }
            long |= {text["text"] for text in one["completions"] if text["id"] not in short}
            tiers = [[n for n in tier if n in short] for tier in one["tiers"]]
            tiers = [tier for tier in tiers if tier]
            if sum(map(len, tiers)) > 1:
                some.append(one | {"tiers": tiers, "strengths": [1] * (len(tiers) - 1)})
        left_out += len(long)
        if some:
            kept.append(some)
    return kept, left_out


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def tokens_of(task: Rankings, tokenizer: Any) -> int:
    """Of a prompt, read once, and of each of its texts."""
    prompt = len(render_conversation(tokenizer, task[0]["prompt"]))
    texts = {text["text"] for one in task for text in one["completions"]}
    return prompt + sum(len(tokenizer(text)["input_ids"]) + 6 for text in texts)


# The model


def trained(folder: Path, model: Any, preferences: Any, recipe: Row) -> Row:
    """The metrics of a run of the real program; what it is at is told every `TOLD` seconds."""
    folder.mkdir()
    inputs = {"model": model, "preferences": preferences}
    (folder / contract.SPEC).write_text(Spec(run="real", method="reward", recipe=recipe, inputs=inputs, seed=0).dump())
    process = subprocess.Popen([sys.executable, "-m", "training", "run", str(folder)])
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=TOLD)
            tell(folder)
    finally:
        process.terminate()
        process.wait()
    if process.returncode:
        sys.exit(f"The run ended with {process.returncode}.")
    for event in contract.read_events(folder / contract.EVENTS):
        if event["kind"] == "warning":
            say(f"warning: {event['payload']['sentence']}")
    metrics: Row = contract.read_manifest(folder)["metrics"]
    return metrics


def tell(folder: Path) -> None:
    if not (folder / contract.EVENTS).exists():
        return
    events = list(contract.read_events(folder / contract.EVENTS))
    last = {event["kind"]: event["payload"] for event in events if event["kind"] == "progress"}
    curve = {
        name: value
        for event in events
        if event["kind"] == "metric"
        for name, value in event["payload"]["values"].items()
    }
    if last:
        at = last["progress"]
        shown = {name: round(curve[name], 3) for name in ("loss", "eval_loss", "eval_accuracy") if name in curve}
        say(f"{at['phase']} {at['step']}/{at['total']} {at['unit']}, {at.get('eta_s', '?')} s to go, {shown}")


# The end


def report(name: str, metrics: Row, *, words: tuple[float, float, float], seconds: int, **facts: Any) -> None:
    def span(key: str, told: Row = metrics) -> str:
        return f"{told[key]:.3f} ({told[f'{key}_low']:.3f} to {told[f'{key}_high']:.3f})"

    ceiling, fraction = "one rater: no ceiling", "-"
    if "ceiling_fraction" in metrics:
        ceiling = (
            f"{metrics['accuracy_ceiling']:.3f} (agreement {metrics['agreement']:.3f} of {metrics['agreement_n']})"
        )
        fraction = span("ceiling_fraction")
    elif name in PUBLISHED:
        agreement, source = PUBLISHED[name]
        highest = (1 + (2 * agreement - 1) ** 0.5) / 2
        ceiling = f"{highest:.3f}, {source}"
        of = {f"f{end}": metrics[f"eval_accuracy{end}"] / highest for end in ("", "_low", "_high")}
        fraction = span("f", of)
    bags = {"w": words[0], "w_low": words[1], "w_high": words[2]}
    cells = {
        "data": name, "held-out n": metrics["eval_n"], "accuracy, 95 %": span("eval_accuracy"), "ceiling": ceiling,
        "fraction of the ceiling, 95 %": fraction, "length alone": f"{metrics['length_accuracy']:.3f}",
        "bag of words, 95 %": span("w", bags), "ECE after temperature": f"{metrics.get('ece_calibrated', float('nan')):.3f}",
        "seconds": seconds,
    }  # fmt: skip
    print("| " + " | ".join(cells) + " |")
    print("|" + "---|" * len(cells))
    print("| " + " | ".join(map(str, cells.values())) + " |")
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in sorted(metrics.items())}
    print(json.dumps({
        "bench": "reward_real", "data": name, "bag_of_words": [round(value, 4) for value in words], "seconds": seconds,
        **facts, "metrics": shown, "torch": torch.__version__, "machine": bench.machine(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
