"""Rewards of completions that are there already: what one reward model gives the very texts that several models wrote.

Nothing is sampled, so the figures are of the same texts that rules and people judge. The mean is over completions, with its
95 % by bootstrap over prompts: completions of one prompt go together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from training import contract
from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.measures.rewards import Scorer, Talk
from training.mechanics.prompt_statistics import finite, interval
from training.recipes.score import SETS, ScoreRecipe

SHOWN = 2  # of a set's completions, from either end of its rewards
SCHEMA = pa.schema(
    [
        ("input", pa.string()), ("id", pa.string()), ("prompt_id", pa.string()), ("index", pa.int32()),
        ("reward", pa.float64()),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion, and all of the conversation that ends with it."""

    id: str
    prompt_id: str
    index: int
    talk: Talk


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, ScoreRecipe)
    prompts = {row["id"]: datasets.messages_of(row) for row in rows_of(context, "prompts")}
    sets = {name: replies_in(context, name, prompts) for name in SETS if context.has_input(name)}
    scorer = Scorer.load(context, dtype=torch.bfloat16 if recipe.bf16 else torch.float32)
    rewards: dict[str, list[float]] = {}
    metrics: dict[str, Any] = {}
    for number, (name, replies) in enumerate(sets.items(), start=1):
        rewards[name] = scorer.rewards(name, [reply.talk for reply in replies], batch_size=recipe.batch_size)
        found = figures(replies, rewards[name], seed=context.spec.seed + recipe.seed)
        metrics |= {f"{name}_{key}": value for key, value in found.items()}
        context.metric(number, reward=found["reward"])
        show(context, number, replies, rewards[name])
    write(context, sets, rewards, metrics)
    return metrics


def rows_of(context: RunContext, name: str) -> list[dict[str, Any]]:
    return [row for split in ("train", "test") for row in datasets.read_rows(context.input(name), split=split)]


def replies_in(context: RunContext, name: str, prompts: dict[str, Talk]) -> list[Reply]:
    """Those that answer one of the prompts. Raises `Failure("other_prompts")`."""
    rows = rows_of(context, name)
    found = [
        Reply(row["id"], row["prompt_id"], row["index"], [*prompts[row["prompt_id"]], said(row["text"])])
        for row in rows
        if row["prompt_id"] in prompts
    ]
    title = context.input(name).name or name
    if not found:
        raise Failure(
            "other_prompts",
            f"None of the completions of {title} answers one of these prompts.",
            advice="Choose the prompts from which the completions were made.",
        )
    if left := len(rows) - len(found):
        context.warn("other_prompts", f"{left} completions of {title} answer none of these prompts and were left out.")
    return found


def said(text: str) -> datasets.Message:
    return {"role": "assistant", "content": text}


def figures(replies: list[Reply], rewards: list[float], *, seed: int) -> dict[str, Any]:
    names = sorted({reply.prompt_id for reply in replies})
    place = {name: i for i, name in enumerate(names)}
    places = np.array([place[reply.prompt_id] for reply in replies])
    sums_P, counts_P = np.bincount(places, rewards), np.bincount(places)
    low, high = interval(len(names), lambda weights: (weights @ sums_P) / (weights @ counts_P), seed=seed)
    told = {"reward": float(np.mean(rewards)), "reward_low": low, "reward_high": high}
    return finite(told) | {"num_prompts": len(names), "num_completions": len(replies)}


def write(
    context: RunContext, sets: dict[str, list[Reply]], rewards: dict[str, list[float]], metrics: dict[str, Any]
) -> None:
    rows = [
        {"input": name, "id": reply.id, "prompt_id": reply.prompt_id, "index": reply.index, "reward": reward}
        for name, replies in sets.items()
        for reply, reward in zip(replies, rewards[name], strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), context.output / "rows.parquet")
    told = {
        "reward": context.input("reward").name,
        "sets": [{"input": name, "title": context.input(name).name or name} for name in sets],
        "figures": metrics,
    }
    contract.write_atomically(context.output / "report.json", json.dumps(told, indent=1, sort_keys=True))


def show(context: RunContext, number: int, replies: list[Reply], rewards: list[float]) -> None:
    """The best and the worst of a set: what a reward model likes is seen at its ends."""
    order = sorted(range(len(replies)), key=lambda place: (-rewards[place], place))
    for place in dict.fromkeys([*order[:SHOWN], *order[-SHOWN:]]):
        talk = replies[place].talk
        context.sample(number, prompt=talk[-2]["content"], text=talk[-1]["content"], reward=rewards[place])
