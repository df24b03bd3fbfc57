"""A policy beside its reference on held-out prompts: reward, stated utility, KL, length, endings; texts side by side.

Both models answer each prompt S times, from the seeds of `sampling.seeds_of`, the same lots for both. The KL is
that of whole completions, in nats, by the policy's own samples: the mean of log policy(y|x) - log reference(y|x), both
at the temperature of sampling and by the same arithmetic, so equal models give exactly 0. Intervals are bootstrapped
over prompts (`prompt_statistics`). How models are asked is in `measures.sides`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training import contract
from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.generation import sampling
from training.mechanics.measures.sides import SIDES, Answers, Job, answer_and_score, score_rewards
from training.mechanics.prompt_statistics import Sides, compare, finite, gain_in_sd, mean_with_error, win_rate
from training.recipes.evaluate import EvaluateRecipe
from training.recipes.utility import brief

UTILITIES: dict[str, Callable[[str], float]] = {"brief": brief}
SHOWN = 6


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, EvaluateRecipe)
    jobs = plan(context, recipe)
    answers, kl = answer_and_score(context, recipe, jobs)
    measures = measure(recipe, answers)
    if context.has_input("reward"):
        measures["reward"] = score_rewards(context, recipe, jobs, answers)
    metrics = summarise(context, recipe, jobs, measures=measures, kl=kl)
    write(context, jobs, answers=answers, measures=measures, kl=kl, metrics=metrics)
    show(context, recipe, jobs, answers)
    context.metric(0, **{name: value for name, value in metrics.items() if isinstance(value, int | float)})
    return metrics


def plan(context: RunContext, recipe: EvaluateRecipe) -> list[Job]:
    """The held-out prompts; where the dataset has no split of its own for them, all of it is taken to be held out."""
    prompts = context.input("prompts")
    rows = datasets.read_rows(prompts, split="test") or datasets.read_rows(prompts, split="train")
    if not rows:
        raise Failure("no_rows", "The dataset has no prompt to compare on.", advice="Choose one with held-out prompts.")
    asked = [datasets.messages_of(row) for row in rows]
    seeds = sampling.seeds_of(asked, context.spec.seed, recipe.seed, samples=recipe.samples)
    return [
        Job(row["id"], messages, i, seed)
        for row, messages, own in zip(rows, asked, seeds, strict=True)
        for i, seed in enumerate(own)
    ]


# Measures, one value an answer


def measure(recipe: EvaluateRecipe, answers: Answers) -> dict[str, dict[str, list[float]]]:
    found = {
        "length": {side: [float(len(row["ids"])) for row in answers[side]] for side in SIDES},
        "ended": {side: [float(row["ended"]) for row in answers[side]] for side in SIDES},
    }
    if recipe.utility != "none":
        judge = UTILITIES[recipe.utility]
        found["utility"] = {side: [judge(row["text"]) for row in answers[side]] for side in SIDES}
    return found


# The report


def summarise(
    context: RunContext,
    recipe: EvaluateRecipe,
    jobs: list[Job],
    *,
    measures: dict[str, dict[str, list[float]]],
    kl: list[float],
) -> dict[str, Any]:
    seed = context.spec.seed + recipe.seed
    num_prompts = len(jobs) // recipe.samples

    def by_prompt(values: list[float]) -> Any:
        return np.array(values, dtype=np.float64).reshape(num_prompts, recipe.samples)

    metrics: dict[str, Any] = {"num_prompts": num_prompts, "samples": recipe.samples}
    metrics |= mean_with_error("kl", by_prompt(kl), seed=seed)
    for name, values in measures.items():
        sides = Sides(by_prompt(values["policy"]), by_prompt(values["reference"]))
        metrics |= compare(name, sides, seed=seed)
        if name in ("utility", "reward"):
            metrics |= gain_in_sd(name, sides, seed=seed)
        if name == "reward":
            metrics |= win_rate(sides, seed=seed)
    if num_prompts < 2:
        context.warn("one_prompt", "There is one prompt: no interval can be told.")
    return finite(metrics)


def write(
    context: RunContext,
    jobs: list[Job],
    *,
    answers: Answers,
    measures: dict[str, dict[str, list[float]]],
    kl: list[float],
    metrics: dict[str, Any],
) -> None:
    rows = []
    for place, job in enumerate(jobs):
        row = {"prompt_id": job.prompt_id, "prompt": job.messages[-1]["content"], "index": job.index}
        row |= {f"{side}_text": answers[side][place]["text"] for side in SIDES}
        row |= {f"{side}_{name}": values[side][place] for name, values in measures.items() for side in SIDES}
        rows.append({**row, "kl": kl[place]})
    pq.write_table(pa.Table.from_pylist(rows), context.output / "rows.parquet")
    contract.write_atomically(context.output / "report.json", json.dumps(metrics, indent=1, sort_keys=True))


def show(context: RunContext, recipe: EvaluateRecipe, jobs: list[Job], answers: Answers) -> None:
    for place in list(range(0, len(jobs), recipe.samples))[:SHOWN]:
        policy, reference = (answers[side][place] for side in SIDES)
        context.sample(
            0,
            prompt=jobs[place].messages[-1]["content"],
            text=policy["text"],
            reference=reference["text"],
            ended=policy["ended"],
        )
