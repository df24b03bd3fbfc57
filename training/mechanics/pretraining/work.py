"""What a pretraining run holds: the model and who moves it, the rows it reads and is judged by."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.context import RunContext, Stopped
from training.contract import Failure, Input
from training.mechanics import models
from training.mechanics.corpus.packing import InOrder, Rows, Stream
from training.mechanics.corpus.shards import open_shards
from training.mechanics.corpus.texts import first_texts, num_texts
from training.mechanics.pretraining.architectures import add_mask_token, build_model
from training.mechanics.pretraining.attention import pays
from training.mechanics.pretraining.found_again import tensors
from training.mechanics.pretraining.masking import MaskedRows, Words
from training.mechanics.pretraining.optimizers import Optimizers, build_optimizers
from training.mechanics.pretraining.part import PartLoss
from training.mechanics.pretraining.spikes import Position
from training.mechanics.ranks import spread, whole_state
from training.recipes.pretrain import PretrainRecipe

# Judging costs a small part of learning: held-out tokens a tenth of those learned since the last evaluation ...
JUDGED = 10
FEWEST, QUICK = 4_096, 16_384  # ... within these bounds; the evaluation at the end knows no upper one
SAMPLES = 4
PROBED = {"train": 1_000_000, "test": QUICK}  # tokens that an estimate reads of each split
OPENING = 12  # tokens of a held-out text that a sample goes on from
SHARDS = "shards"


@dataclass(slots=True)
class Work:
    """What the loop holds."""

    context: RunContext
    recipe: PretrainRecipe
    tokenizer: Any
    model: Any
    part_loss: Any
    """What a loss goes back from: the model, its head's loss with it, spread over the processes."""
    optimizers: Optimizers
    train: Stream
    rows: Rows
    gaps: MaskedRows | None
    """The rows as a masked model reads them."""
    quick: Stream | None
    """The first part of the held-out text; None where there is none."""
    openings: list[list[int]]
    autocast: Callable[[], Any]
    short_rows: bool
    """Whether attention is that of `training.mechanics.pretraining.attention`."""
    position: Position = field(default_factory=Position)
    tokens_to_judge: float = 0.0
    """In an estimate: of all evaluations of the run."""

    @property
    def seed(self) -> int:
        return seed_of(self.context, self.recipe)

    def batch(self, first: int, count: int) -> dict[str, Tensor]:
        """This process's share of the rows `first` to `first + count - 1`, on the model's device."""
        if self.gaps is not None:
            return tensors(self.gaps.batch(first, count), self.model.device)
        return {"input_ids": torch.from_numpy(self.rows.batch_BT(first, count)).to(self.model.device)}

    def gaps_of(self, stream: Stream) -> MaskedRows:
        """Held-out rows with gaps of their own."""
        assert self.gaps is not None
        rows = InOrder(stream, length=self.recipe.context, seed=self.seed)
        return MaskedRows(rows, self.recipe.mask, self.gaps.words, self.gaps.begin, self.gaps.end, salt=2)


def prepare(context: RunContext, recipe: PretrainRecipe) -> Work:
    tokenizer = models.load_tokenizer(context.input("tokenizer"))
    if recipe.is_masked:
        add_mask_token(tokenizer)
    seed = seed_of(context, recipe)
    # In an order by lot, and no more than will be read: a short run on a large corpus starts at once.
    train = shards(context, tokenizer, "train", most=tokens_of(recipe, recipe.steps) + 2 * recipe.context, seed=seed)
    ranks = context.ranks
    rows = Rows(train, length=recipe.context, seed=seed, rank=ranks.rank, world=ranks.world)
    device = models.device()
    model = build_model(recipe, tokenizer=tokenizer, seed=seed).to(device)
    trunk = compiled(model.base_model) if recipe.compiled else model.base_model
    part_loss = spread(PartLoss(model, trunk, recipe), ranks)
    quick = min(QUICK, max(FEWEST, tokens_of(recipe, recipe.eval_every) // JUDGED))
    texts = first_texts(context.input("corpus"), split="test", count=SAMPLES)
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return Work(
        context=context,
        recipe=recipe,
        tokenizer=tokenizer,
        model=model,
        part_loss=part_loss,
        optimizers=build_optimizers(model, recipe),
        train=train,
        rows=rows,
        gaps=MaskedRows(rows, recipe.mask, Words.of(tokenizer), first, tokenizer.eos_token_id, salt=1)
        if recipe.is_masked
        else None,
        quick=shards(context, tokenizer, "test", most=quick) if texts else None,
        openings=[[*begin, *tokenizer(text, add_special_tokens=False)["input_ids"][:OPENING]] for text in texts],
        short_rows=pays(architecture=recipe.architecture, context=recipe.context, device=device, bf16=recipe.bf16),
        autocast=partial(torch.autocast, device.type, dtype=torch.bfloat16) if recipe.bf16 else nullcontext,
    )


def readable(work: Work) -> Work:
    """For the first process alone: a model that can be read by itself, with weights as they are now. Each must ask for it."""
    ranks = work.context.ranks
    if not ranks.is_cut:
        return work
    state = whole_state(work.model, keep=ranks.is_first)
    if not ranks.is_first:
        return work
    model = build_model(work.recipe, tokenizer=work.tokenizer, seed=work.seed).to(work.model.device)
    model.load_state_dict(state)
    return replace(work, model=model)


def compiled(trunk: Any) -> Any:
    """Raises `Failure("no_compiler")`: torch would say so in the middle of the first step, in a page of its own calls."""
    if not torch.cuda.is_available() and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise Failure(
            "no_compiler",
            "torch.compile needs a C++ compiler, and this machine has none.",
            advice="Install g++, or leave compiled off: the run is the same without it, and slower.",
        )
    return torch.compile(trunk, dynamic=False)


def shards(context: RunContext, tokenizer: Any, split: str, *, most: int, seed: int | None = None) -> Stream:
    """In the run's own folder; a resumed run finds them there, and so do the processes behind the first one."""
    write = partial(
        open_shards, tokenizer=tokenizer, given=context.input("corpus"), split=split, seed=seed,
        tell=partial(tell, context, "reading", "texts"),
    )  # fmt: skip
    folder = context.dir / SHARDS
    if context.probe is None:
        opened = partial(write, folder / f"{split}-{most}", most=most)
        if context.ranks.world > 1:
            context.on_first(opened)
        return opened()
    some = min(most, PROBED[split])
    loop = context.probe.loop("reading", total=0, unit="tokens")
    loop.warm_up = 0
    began = context.probe.clock()
    stream = write(folder / f"{split}-{some}", most=some)
    loop.add(context.probe.clock() - began, weight=len(stream))
    loop.leave(total=full_length(stream, context.input("corpus"), split=split, most=most))
    return stream


def full_length(stream: Stream, corpus: Input, *, split: str, most: int) -> float:
    """The tokens that a stream of at most `most` would have, by the length of the documents that were read."""
    all_of_them = len(stream) * num_texts(corpus, split=split) / max(stream.num_documents, 1)
    return max(len(stream), min(most + len(stream) / max(stream.num_documents, 1), all_of_them))


def seed_of(context: RunContext, recipe: PretrainRecipe) -> int:
    return context.spec.seed + recipe.seed


def tokens_of(recipe: PretrainRecipe, steps: int) -> int:
    return steps * recipe.batch_size * recipe.context


def tell(context: RunContext, phase: str, unit: str, done: int, total: int) -> None:
    """Says how far a phase is; where a stop was asked for, it ends there (the last checkpoint stands)."""
    if context.stop_requested:
        raise Stopped
    context.progress(phase, done, total, unit=unit)
