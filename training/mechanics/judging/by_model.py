"""Pairs judged by a model of ours: its reasons, where it is to write them, and how much likelier it finds either answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets, models
from training.mechanics.datasets import Message
from training.mechanics.generation import sampling
from training.mechanics.judging.asking import after, messages_of
from training.mechanics.judging.letters import LetterReader, written
from training.mechanics.judging.pairs import Pair
from training.mechanics.judging.verdicts import ORDERS, Told
from training.mechanics.memory import Room
from training.mechanics.parts import BATCHES, Row, Tell, batches_by_length, kept
from training.recipes.judge import JudgeRecipe

SPARE = 8  # tokens that the reasons' end may take


def judge(context: RunContext, recipe: JudgeRecipe, pairs: Sequence[Pair]) -> list[tuple[Pair, Told]]:
    """Those whose questions are short enough, in their order. Raises `Failure`."""
    given = context.input("model")
    tokenizer = models.load_tokenizer(given)
    dtype = torch.bfloat16 if recipe.bf16 else torch.float32
    model = models.load_causal(given, dtype=dtype).to(models.device()).eval()
    pairs = fitting(context, recipe, pairs, tokenizer=tokenizer, most=most_tokens(model, recipe))
    asked = [
        messages_of(pair, order=order, thinks=recipe.thought, examples=recipe.examples)
        for pair in pairs
        for order in ORDERS
    ]
    batches = batches_by_length(
        [pair.size for pair in pairs for _ in ORDERS], batch_size=BATCHES * recipe.batch_size, together=len(ORDERS)
    )
    room = Room(context, tokenizer)
    thoughts = [""] * len(asked)
    if recipe.thought:
        seeds = [pair.seed(context.spec.seed, recipe.seed, order=order) for pair in pairs for order in ORDERS]
        think = thinker(context, recipe, asked, seeds, model=model, tokenizer=tokenizer, room=room)
        thoughts = [row["text"] for row in kept(context, "thoughts", batches, think, unit="questions")]
        asked = [after(messages, thought) for messages, thought in zip(asked, thoughts, strict=True)]
    reader = LetterReader.of(model, tokenizer, room=room)

    def answer(places: list[int], tell: Tell) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(places), recipe.batch_size):
            some = [written(tokenizer, asked[place]) for place in places[start : start + recipe.batch_size]]
            found += [{"log_odds": one} for one in reader.log_odds(some, batch_size=recipe.batch_size)]
            tell(len(found))
        return found

    rows = kept(context, "answers", batches, answer, unit="questions")
    refuse_poisoned(rows)
    return [
        (pair, Told(rows[2 * i]["log_odds"], -rows[2 * i + 1]["log_odds"], thoughts[2 * i], thoughts[2 * i + 1]))
        for i, pair in enumerate(pairs)
    ]


def thinker(
    context: RunContext, recipe: JudgeRecipe, asked: Sequence[list[Message]], seeds: Sequence[int], *, model: Any,
    tokenizer: Any, room: Room,
) -> Any:  # fmt: skip
    def think(places: list[int], tell: Tell) -> list[Row]:
        found = sampling.sample(
            model, tokenizer, [datasets.render_prompt(tokenizer, asked[place]) for place in places],
            seeds=[seeds[place] for place in places], temperatures=[recipe.thought_temperature] * len(places), top_p=1.0,
            max_new_tokens=recipe.thought_tokens, batch_size=recipe.batch_size, tell=tell,
            stop_requested=lambda: context.stop_requested, room=room,
        )  # fmt: skip
        return [{"text": sample.text} for sample in found]

    return think


def most_tokens(model: Any, recipe: JudgeRecipe) -> int:
    reads = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(recipe.max_length, reads or recipe.max_length)


def fitting(
    context: RunContext, recipe: JudgeRecipe, pairs: Sequence[Pair], *, tokenizer: Any, most: int
) -> list[Pair]:
    """Pairs whose questions have no more tokens than `most`, in both orders, reasons included. A cut question would be
    another one. Raises `Failure("no_pairs")` where none is left."""
    kept_pairs = [pair for pair in pairs if longest(recipe, pair, tokenizer=tokenizer) <= most]
    if len(kept_pairs) < len(pairs):
        context.warn(
            "left_out_long",
            f"{len(pairs) - len(kept_pairs)} of {len(pairs)} pairs make questions of more than {most} tokens and were left"
            " out.",
        )
    if not kept_pairs:
        raise Failure(
            "no_pairs",
            f"No pair is left: the questions of all {len(pairs)} have more than {most} tokens.",
            advice="Raise max_length, lower thought_tokens or examples, or choose a model that reads more.",
        )
    return kept_pairs


def longest(recipe: JudgeRecipe, pair: Pair, *, tokenizer: Any) -> int:
    lengths = []
    for order in ORDERS:
        messages = messages_of(pair, order=order, thinks=recipe.thought, examples=recipe.examples)
        more = recipe.thought_tokens + SPARE if recipe.thought else 0
        lengths.append(more + written(tokenizer, after(messages, "...") if recipe.thought else messages).length)
    return max(lengths)


def refuse_poisoned(rows: Sequence[Row]) -> None:
    if not all(math.isfinite(row["log_odds"]) for row in rows):
        raise Failure(
            "not_finite",
            "The model's log-probabilities are not numbers.",
            advice="Choose a model whose weights are good.",
        )
