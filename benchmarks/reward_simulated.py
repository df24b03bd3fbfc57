"""Reward models on rankings whose truth is known: what is learned in spite of wrong labels, lengths, spammers and two tastes.

`make bench-reward_simulated`: a model of two layers reads every text, some minutes on one core. PROMPTS trains on so many (by
default 400, half as many again are held out), SEEDS repeats it (3) from FIRST_SEED on, CASE measures what has it in its name
alone ("length"). A table of means and spans over seeds goes to stdout, its last line is JSON with the figures of each seed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from scipy.stats import kendalltau
from transformers.utils import logging

from benchmarks import bench, simulated_rankings
from benchmarks.simulated_rankings import Row, Task
from tests.training import tiny
from training import contract
from training.mechanics import models, scoring
from training.recipes.reward import RewardRecipe

PROMPTS = int(os.environ.get("PROMPTS", "400"))
SEEDS = int(os.environ.get("SEEDS", "3"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
CASE = os.environ.get("CASE", "")  # what is in the names of the cases to measure; all without it
RATES = (0.0, 0.1, 0.2, 0.3, 0.5)
PLANTED = 0.3
SPAMMED = 100
RECIPE = RewardRecipe.presets["tiny"] | {"epochs": 3, "max_length": 96, "batch_size": 8, "eval_every": 1_000_000}


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    began = time.monotonic()
    rows: list[Row] = []
    print("| | figure | mean | least | most |\n|---|---|---|---|---|")
    for name, measure in (
        *((f"labels flipped {rate:.0%}", lambda seed, rate=rate: of_flips(seed, rate)) for rate in RATES),
        ("three heads, flipped 20%", lambda seed: of_flips(seed, 0.2, heads=3)),
        (f"length bias of {PLANTED}", of_length),
        ("30% spammers", of_spammers),
        ("two tastes", of_tastes),
    ):
        if CASE not in name:
            continue
        found = [measure(seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS)]
        for figure in found[0]:
            values = [one[figure] for one in found]
            told = [statistics.fmean(values), min(values), max(values)]
            rows.append({"case": name, "figure": figure, "values": [round(value, 4) for value in values]})
            print(f"| {name} | {figure} | {' | '.join(f'{value:.3f}' for value in told)} |", flush=True)
    print(json.dumps({
        "bench": "reward_simulated", "prompts": PROMPTS, "seeds": SEEDS, "seconds": round(time.monotonic() - began),
        "figures": rows, "torch": torch.__version__, "machine": bench.machine(),
    }))  # fmt: skip


def finished(
    folder: Path, train: list[Row], test: list[Row], *, seed: int, ranked: list[Row] | None = None, **recipe: Any
) -> tuple[Path, Row]:
    """A finished run and its metrics."""
    inputs = {
        "model": tiny.write_model(folder / "model", seed=seed),
        "preferences": tiny.write_dataset(folder / "data", train, test, rankings=ranked),
    }
    run_dir = tiny.make_run(folder / "run", "reward", RECIPE | recipe, inputs, seed=seed)
    if tiny.finish(run_dir) != contract.EXIT_DONE:
        sys.exit(str(tiny.failure(run_dir)))
    return run_dir, contract.read_manifest(run_dir)["metrics"]


def trained(train: list[Row], test: list[Row], *, seed: int, truth: list[Task] | None = None, **more: Any) -> Row:
    """Metrics of a run, and `tau` of its scores with the worth of the texts of `truth`."""
    with tempfile.TemporaryDirectory() as home:
        run_dir, metrics = finished(Path(home), train, test, seed=seed, **more)
        if truth:
            given = tiny.given(run_dir / contract.OUTPUT, "model")
            model = models.load_reward(given, dtype=torch.float32).eval()
            texts = [(task, text) for task in truth[:200] for text in task.texts]
            talks = [[tiny.user(task.prompt), tiny.assistant(text)] for task, text in texts]
            raw = models.RewardScale(0.0, 1.0)
            scores = scoring.rewards(model, tiny.tokenizer(), talks, scale=raw, batch_size=64)
            worth = [simulated_rankings.worth(text) for _, text in texts]
            metrics["tau"] = float(kendalltau(scores, worth).statistic)
        return metrics


def some_tasks(seed: int, **more: Any) -> tuple[list[Task], list[Task]]:
    return (
        simulated_rankings.tasks(PROMPTS, texts=3, seed=seed, **more),
        simulated_rankings.tasks(PROMPTS // 2, texts=3, seed=1000 + seed, first=PROMPTS, **more),
    )


def only(metrics: Row, *names: str) -> dict[str, float]:
    return {name: float(metrics[name]) for name in names}


def of_flips(seed: int, rate: float, **recipe: Any) -> dict[str, float]:
    train = simulated_rankings.tasks(PROMPTS, texts=3, seed=seed)
    test = simulated_rankings.tasks(350, texts=3, seed=1000 + seed, first=PROMPTS)  # luck alone gives 600 an ECE of 3 %
    sides = [simulated_rankings.flipped(some, rate=rate, seed=i + seed) for i, some in ((100, train), (200, test))]
    metrics = trained(*sides, seed=seed, truth=test if rate < 0.5 else None, **recipe)
    more = ("head_disagreement", "disagreement_error", "accuracy_mean", "accuracy_cautious") if recipe else ()
    if "tau" in metrics:
        more = ("tau", *more)
    return only(metrics, "eval_n", "eval_accuracy", "ece_calibrated", "ece_with_flips", "flip_rate", *more)


def of_length(seed: int) -> dict[str, float]:
    train, test = some_tasks(seed)
    raters = [f"r{i}" for i in range(12)]
    std = simulated_rankings.spread([*train, *test])
    ranked, rows = simulated_rankings.ranked(train, raters=raters, seed=seed, length=PLANTED, std=std)
    held_out = simulated_rankings.ranked(test, raters=raters, seed=500 + seed, length=PLANTED, std=std)[1]
    metrics = trained(rows, held_out, ranked=ranked, seed=seed, truth=test, debias_length=True)
    return only(metrics, "length_bias", "length_bias_low", "length_bias_high", "length_bias_scores", "length_bias_left",
                "eval_accuracy", "tau")  # fmt: skip


def of_spammers(seed: int) -> dict[str, float]:
    """`SPAMMED` prompts' words, each prompt ranked by three of ten raters; held-out accuracy against the truth, and what
    three spammers among the ten cost of it, in points, if all count alike and if weights are estimated."""
    worth = simulated_rankings.worth_of_words(seed)
    train = simulated_rankings.words(SPAMMED, texts=4, seed=seed)
    test = simulated_rankings.words(300, texts=3, seed=seed, first=SPAMMED)
    truth = simulated_rankings.flipped(test, rate=0, seed=seed, worth=worth)

    def accuracy(kind: str, weights: str) -> float:
        raters = [(kind if i < 3 else "r") + str(i) for i in range(10)]
        ranked, rows = simulated_rankings.ranked(train, raters=raters, seed=seed, a_task=3, sharpness=1.5, worth=worth)
        metrics = trained(rows, truth, ranked=ranked, seed=seed, rater_weights=weights, epochs=20, batch_size=4)
        return 100 * float(metrics["eval_accuracy"])

    found = {"accuracy_without": accuracy("r", "none")}
    for kind, name in (("l", "by_length"), ("n", "by_the_opposite"), ("x", "by_lot")):
        for weights, how in (("none", "alike"), ("estimated", "estimated")):
            found[f"cost_{name}_{how}"] = found["accuracy_without"] - accuracy(kind, weights)
    return found


def of_tastes(seed: int) -> dict[str, float]:
    raters = [f"{kind}{i}" for kind in "ro" for i in range(5)]
    train, test = some_tasks(seed, fill=False, taste=True)
    ranked, rows = simulated_rankings.ranked(train, raters=raters, seed=seed, a_task=5, sharpness=2)
    held_out = simulated_rankings.ranked(test, raters=raters, seed=500 + seed, a_task=5, sharpness=2)[1]
    found = {"one_head": trained(rows, held_out, ranked=ranked, seed=seed, epochs=4)["eval_accuracy"]}
    metrics = trained(rows, held_out, ranked=ranked, seed=seed, groups="estimated", epochs=4)
    names = [f"accuracy_group_{g}{whose}" for g in (1, 2) for whose in ("", "_others", "_mean")]
    return found | only(metrics, *names, "prompts_disagreed_on")


if __name__ == "__main__":
    main()
