"""Completions for people to rank: K samples a prompt, each from a seed and at a temperature of its own.

Completion i of a prompt is drawn from its own seed (`sampling.seeds_of`) at `temperatures[i % len(temperatures)]`. The work
is done in parts, the same ones at every start: a run that was killed and resumed gives the very rows of one that was left
alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from training.context import RunContext
from training.mechanics import datasets, models
from training.mechanics.generation import completions, sampling
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Tell, batches_by_length, kept
from training.recipes.generate import GenerateRecipe


@dataclass(frozen=True, slots=True)
class Job:
    """One completion to be sampled."""

    prompt_id: str
    words: str
    prompt: list[int]
    index: int
    seed: int
    temperature: float


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, GenerateRecipe)
    given = context.input("model")
    tokenizer = models.load_tokenizer(given)
    jobs = plan(context, recipe, tokenizer=tokenizer)
    dtype = torch.bfloat16 if recipe.bf16 else torch.float32
    model = models.load_causal(given, dtype=dtype, virtual_allowed=True).to(models.device())
    lengths = [len(job.prompt) for job in jobs]
    batches = batches_by_length(lengths, batch_size=BATCHES * recipe.batch_size, together=recipe.k)
    room = Room(context, tokenizer)
    work = partial(answer, context, recipe, model=model, tokenizer=tokenizer, jobs=jobs, room=room)
    answers = kept(context, "sampling", batches, work, unit="completions")
    rows = [row_of(context, recipe, job, found) for job, found in zip(jobs, answers, strict=True)]
    completions.write(context.output, rows, card=card_of(context, recipe))
    return {
        "num_prompts": len(jobs) // recipe.k,
        "num_completions": len(rows),
        "ended_rate": sum(row["ended"] for row in rows) / len(rows),
        "mean_tokens": sum(row["num_tokens"] for row in rows) / len(rows),
        "repeated_share": 1 - len({(row["prompt_id"], row["text"].strip()) for row in rows}) / len(rows),
    }


def plan(context: RunContext, recipe: GenerateRecipe, *, tokenizer: Any) -> list[Job]:
    """Raises `Failure("no_rows")`."""
    rows = completions.prompt_rows(context)
    asked = [datasets.messages_of(row) for row in rows]
    seeds = sampling.seeds_of(asked, context.spec.seed, recipe.seed, samples=recipe.k)
    jobs = []
    for row, messages, own in zip(rows, asked, seeds, strict=True):
        prompt = datasets.render_prompt(tokenizer, messages)
        for i, seed in enumerate(own):
            temperature = recipe.temperatures[i % len(recipe.temperatures)]
            jobs.append(Job(row["id"], messages[-1]["content"], prompt, i, seed, temperature))
    return jobs


def answer(
    context: RunContext,
    recipe: GenerateRecipe,
    places: list[int],
    tell: Tell,
    *,
    model: Any,
    tokenizer: Any,
    jobs: list[Job],
    room: Room,
) -> list[dict[str, Any]]:
    batch = [jobs[place] for place in places]
    samples = sampling.sample(
        model,
        tokenizer,
        [job.prompt for job in batch],
        seeds=[job.seed for job in batch],
        temperatures=[job.temperature for job in batch],
        top_p=recipe.top_p,
        max_new_tokens=recipe.max_new_tokens,
        min_new_tokens=recipe.min_new_tokens,
        stop_strings=recipe.stop_strings,
        batch_size=recipe.batch_size,
        tell=tell,
        stop_requested=lambda: context.stop_requested,
        room=room,
    )
    for job, found in list(zip(batch, samples, strict=True))[:: recipe.batch_size]:
        context.sample(job.index, prompt=job.words, text=found.text, ended=found.ended)
    return [
        {"text": found.text, "num_tokens": len(found.ids), "ended": found.ended, "logprob": found.logprob}
        for found in samples
    ]


def row_of(context: RunContext, recipe: GenerateRecipe, job: Job, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": completions.completion_id(context.spec.run, job.prompt_id, job.index),
        "prompt_id": job.prompt_id,
        "index": job.index,
        "text": found["text"],
        "seed": job.seed,
        "temperature": job.temperature,
        "top_p": recipe.top_p,
        "num_tokens": found["num_tokens"],
        "ended": found["ended"],
        "logprob": found["logprob"],
    }


def card_of(context: RunContext, recipe: GenerateRecipe) -> str:
    model = context.input("model")
    return (
        f"{recipe.k} completions of each prompt, sampled from {model.name or 'a model'} (sha256 {model.sha256}) at "
        f"temperatures {', '.join(map(str, recipe.temperatures))}, top_p {recipe.top_p}, {recipe.min_new_tokens} to "
        f"{recipe.max_new_tokens} tokens, ended by {ends_of(recipe)}. `logprob` is the summed log-probability of a "
        "completion's tokens, in nats, at its temperature."
    )


def ends_of(recipe: GenerateRecipe) -> str:
    return "the end token" + "".join(f" or {json.dumps(string)}" for string in recipe.stop_strings)
