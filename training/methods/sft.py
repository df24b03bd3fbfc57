"""Supervised fine-tuning on instructions: only the assistant's words are learned, on TRL's SFTTrainer.

Every assistant turn of a conversation is learned (or the last one alone), each to its end-of-turn token: without it a
model never stops. Which tokens those are is found by rendering the conversation up to each turn, so any chat template will
do that renders a conversation's beginning as the beginning of the conversation; a turn where it does not is left unlearned.

What is trained: all weights, LoRA, QLoRA, or virtual tokens (`instructions.trained`). Several datasets are mixed by shares
(`instructions.mixture`). Where we depart from TRL 1.16: packs attend conversation by conversation (`instructions.packs`), and
only positions with a label are projected onto the vocabulary (`trainers.head`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from trl import SFTConfig  # type: ignore[attr-defined]  # exported lazily

from training.context import RunContext
from training.mechanics import datasets, models
from training.mechanics.instructions.general import read_general
from training.mechanics.instructions.mixture import MixedRows, Part, shares_of
from training.mechanics.instructions.packs import RowCollator, rows_of, talks_in
from training.mechanics.instructions.talks import Example, Talk, encode_all, learned_of, question_of, read_talks
from training.mechanics.instructions.trained import load_trained, trainer_settings
from training.mechanics.instructions.trainer import SftRun
from training.mechanics.shared_prefix import Reader
from training.mechanics.trainers.samples import Show, pick_show
from training.mechanics.trainers.settings import settings
from training.recipes.sft import SftRecipe

SAMPLES = 8
INSTRUCTIONS = ("instructions", "instructions2", "instructions3", "instructions4")


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, SftRecipe)
    tokenizer = models.load_tokenizer(context.input("model"))
    sources = [
        read_source(context, name, recipe, tokenizer=tokenizer) for name in INSTRUCTIONS if context.has_input(name)
    ]
    asked = [
        question
        for one_of_each in zip_longest(*(source.asked for source in sources))
        for question in one_of_each
        if question
    ]
    show = pick_show(
        asked, tokenizer=tokenizer, count=SAMPLES, max_length=recipe.max_length, max_new_tokens=recipe.sample_tokens
    )
    context.metric(0, **learned_of([example for source in sources for example in source.train]))
    trainer = build(context, recipe, sources=sources, tokenizer=tokenizer, show=show)
    trainer.train_to_the_end()
    metrics = {
        "train_rows": sum(len(source.train) for source in sources),
        "held_out_rows": sum(len(source.held_out) for source in sources),
        **trainer.end_metrics(),
    }
    trainer.publish()
    return metrics


# Data


@dataclass(frozen=True, slots=True)
class Source:
    """One dataset of instructions as examples, and the questions of its held-out conversations."""

    name: str
    train: list[Example]
    held_out: list[Example]
    asked: list[Talk]


def read_source(context: RunContext, name: str, recipe: SftRecipe, *, tokenizer: Any) -> Source:
    """Raises `Failure` where nothing of it can be learned."""
    given = context.input(name)
    talks = {split: read_talks(datasets.read_rows(given, split=split)) for split in ("train", "test")}
    train, held_out = (
        encode_all(
            tokenizer,
            talks[split],
            max_length=recipe.max_length,
            context=context,
            split=split,
            loss_on=recipe.loss_on,
            too_long=recipe.too_long,
        )
        for split in ("train", "test")
    )
    title = f"{given.name} ({name})" if is_twice(context, given.name) else given.name or name
    return Source(title, train, held_out, [question_of(talk) for talk in talks["test"] or talks["train"]])


def is_twice(context: RunContext, title: str) -> bool:
    return [context.input(name).name for name in INSTRUCTIONS if context.has_input(name)].count(title) > 1 and bool(
        title
    )


def mix(context: RunContext, recipe: SftRecipe, *, sources: list[Source], rows: Any) -> MixedRows | None:
    """None of a single dataset. Tells what each has and what of it is learned."""
    if len(sources) == 1:
        return None
    shares = shares_of(
        [len(source.train) for source in sources], weights=recipe.weights, temperature=recipe.temperature
    )
    numbers = rows["part"]
    parts = [
        Part(source.name, range(numbers.index(i), numbers.index(i) + numbers.count(i)), share)
        for i, (source, share) in enumerate(zip(sources, shares, strict=True))
    ]
    for source, part in zip(sources, parts, strict=True):
        context.metric(0, **{f"rows/{source.name}": len(source.train), f"share/{source.name}": part.share})
        context.log(
            f"{source.name}: {len(source.train)} conversations to learn from, {len(source.held_out)} held out; "
            f"{part.share:.1%} of what is learned."
        )
    seed = context.spec.seed + recipe.seed
    return MixedRows(parts, talks_in(rows), epochs=math.ceil(recipe.epochs), seed=seed)


# Training


def can_join(model: Any, tokenizer: Any) -> bool:
    """On a CPU alone: a GPU would be called once a conversation and layer."""
    return not torch.cuda.is_available() and Reader.of(model, pad_token_id=tokenizer.pad_token_id).shares


def build(context: RunContext, recipe: SftRecipe, *, sources: list[Source], tokenizer: Any, show: Show) -> SftRun:
    train = [example for source in sources for example in source.train]
    held_out = [source.held_out for source in sources]
    model = load_trained(context, recipe, train=train)
    packs = recipe.packing and not recipe.is_virtual  # virtual tokens stand before a row, not before each text in it
    rows = rows_of([source.train for source in sources], max_length=recipe.max_length if packs else None)
    batch_size = max(1, round(recipe.batch_size * len(rows) / len(train)))
    arguments = SFTConfig(
        max_length=None,  # nothing is cut: `encode_all` has left out what is too long
        packing=False,  # done above
        **settings(context, recipe, rows=len(rows), evaluated=any(held_out), batch_size=batch_size)
        | trainer_settings(recipe),
    )
    general = None
    if context.has_input("general"):
        general = read_general(context.input("general"), tokenizer=tokenizer, max_length=recipe.max_length)
    return SftRun(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        data_collator=RowCollator(tokenizer.pad_token_id, joins=packs and can_join(model, tokenizer)),
        train_dataset=rows,
        eval_dataset=rows_of(held_out, max_length=None) if any(held_out) else None,
        context=context,
        show=show,
        recipe=recipe,
        names=[source.name for source in sources],
        mixed=mix(context, recipe, sources=sources, rows=rows),
        general=general,
    )
