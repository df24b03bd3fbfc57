"""A policy beside its reference on held-out prompts: reward, stated utility, KL, length, endings; texts side by side.

Both models answer each prompt S times, from the seeds of `sampling.seeds_of`, the same lots for both. The KL is
that of whole completions, in nats, by the policy's own samples: the mean of log policy(y|x) - log reference(y|x), both
at the temperature of sampling and by the same arithmetic, so equal models give exactly 0. Intervals are bootstrapped
over prompts (`prompt_statistics`). Models are in memory one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from training import contract
from training.context import RunContext
from training.contract import Failure, Input
from training.mechanics import datasets, models, scoring
from training.mechanics.generation import sampling
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Tell, batches_by_length, kept
from training.mechanics.prompt_statistics import Sides, compare, finite, gain_in_sd, mean_with_error, win_rate
from training.recipes.evaluate import EvaluateRecipe
from training.recipes.utility import brief

UTILITIES: dict[str, Callable[[str], float]] = {"brief": brief}
SIDES = ("policy", "reference")
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to be sampled, of either side."""

    prompt_id: str
    messages: list[datasets.Message]
    index: int
    seed: int


Answers = dict[str, list[dict[str, Any]]]
"""By side, one row a job: ids, text and ended of its `Sample`."""


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


# Answers


def answer_and_score(context: RunContext, recipe: EvaluateRecipe, jobs: list[Job]) -> tuple[Answers, list[float]]:
    """The answers of both sides, and for each of the policy's log policy - log reference."""
    answers: Answers = {}
    logprobs: dict[str, list[dict[str, Any]]] = {}
    for side in SIDES:
        given = context.input(side)
        tokenizer = models.load_tokenizer(given)
        if side == "reference":
            refuse_other_words(context, tokenizer)
        dtype = torch.bfloat16 if recipe.bf16 else torch.float32
        model = models.load_causal(given, dtype=dtype, virtual_allowed=True).to(models.device())
        model.eval()
        room = Room(context, tokenizer)
        prompts = [datasets.render_prompt(tokenizer, job.messages) for job in jobs]
        batches = batches_by_length(
            [len(prompt) for prompt in prompts], batch_size=BATCHES * recipe.batch_size, together=recipe.samples
        )

        def answer(
            places: list[int],
            tell: Tell,
            model: Any = model,
            words: Any = tokenizer,
            asked: Any = prompts,
            room: Room = room,
        ) -> Any:
            found = sampling.sample(
                model,
                words,
                [asked[place] for place in places],
                seeds=[jobs[place].seed for place in places],
                temperatures=[recipe.temperature] * len(places),
                top_p=1.0,
                max_new_tokens=recipe.max_new_tokens,
                batch_size=recipe.batch_size,
                tell=tell,
                stop_requested=lambda: context.stop_requested,
                room=room,
            )
            return [{"ids": sample.ids, "text": sample.text, "ended": sample.ended} for sample in found]

        answers[side] = kept(context, f"{side} answers", batches, answer, unit="completions")
        own = [scoring.Completion(prompt, row["ids"]) for prompt, row in zip(prompts, answers["policy"], strict=True)]
        again = batches_by_length([len(c.prompt) + len(c.ids) for c in own], batch_size=recipe.batch_size)

        def score(
            places: list[int],
            tell: Tell,
            model: Any = model,
            pad: int = tokenizer.pad_token_id,
            own: Any = own,
            room: Room = room,
        ) -> Any:
            found = scoring.token_logprobs(
                model,
                [own[place] for place in places],
                pad_token_id=pad,
                batch_size=recipe.batch_size,
                temperature=recipe.temperature,
                tell=tell,
                room=room,
            )
            return [{"logprob": logps.double().sum().item()} for logps in found]

        logprobs[side] = kept(context, f"{side} likelihoods", again, score, unit="completions")
    kl = [p["logprob"] - r["logprob"] for p, r in zip(logprobs["policy"], logprobs["reference"], strict=True)]
    return answers, kl


def refuse_other_words(context: RunContext, reference_tokenizer: Any) -> None:
    """The KL is one of distributions over the same tokens."""
    if models.load_tokenizer(context.input("policy")).get_vocab() != reference_tokenizer.get_vocab():
        raise Failure(
            "tokenizer_differs",
            "Policy and reference read different tokens, so no KL lies between them.",
            advice="Compare with the model that the policy was trained from.",
        )


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


def score_rewards(
    context: RunContext, recipe: EvaluateRecipe, jobs: list[Job], answers: Answers
) -> dict[str, list[float]]:
    given: Input = context.input("reward")
    tokenizer, scale = models.load_tokenizer(given), models.read_reward_scale(given)
    model = models.load_reward(given, dtype=torch.bfloat16 if recipe.bf16 else torch.float32).to(models.device())
    model.eval()
    found = {}
    for side in SIDES:
        talks = [
            [*job.messages, {"role": "assistant", "content": row["text"]}]
            for job, row in zip(jobs, answers[side], strict=True)
        ]
        lengths = [len(datasets.render_conversation(tokenizer, talk)) for talk in talks]
        batches = batches_by_length(lengths, batch_size=recipe.batch_size)

        def score(places: list[int], tell: Tell, talks: Any = talks) -> Any:
            scores = scoring.rewards(
                model,
                tokenizer,
                [talks[place] for place in places],
                scale=scale,
                batch_size=recipe.batch_size,
                tell=tell,
                room=Room(context, tokenizer),
            )
            return [{"reward": value} for value in scores]

        rows = kept(context, f"{side} rewards", batches, score, unit="completions")
        found[side] = [row["reward"] for row in rows]
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
