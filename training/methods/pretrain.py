"""Pretraining: a Llama (Touvron et al. 2023; the class of transformers) learns from zero to foresee a corpus.

loss = mean over the tokens of a batch of -log p(token | what stands before it in its row)

AdamW (Loshchilov and Hutter 2019; betas .9 and .95) decays matrices and never norms or the embeddings; its rate rises
in a line to the peak, then falls along a cosine to a tenth of it. Input and output embeddings are one matrix. How well
the model does is told in bits per byte of held-out text, beside what counting single tokens and pairs reaches.

Before the first step the loss on tokens drawn by lot must be ln V: a model from zero knows nothing, and whatever
differs is a bug. (By lot, for a text that repeats itself is a little easier even then: equal embeddings attract.)
The loop is our own because a step must be a function of (weights, moments, step number) and of nothing else: then a
run that was killed and resumed ends in the same bits as one that was not.

Legend: B rows of a batch, T tokens a row, V tokens of the vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import checkpoints, datasets, models
from training.mechanics.corpus.bits import bigram_bits_per_byte, bits_per_byte, unigram_bits_per_byte
from training.mechanics.corpus.packing import Rows, Stream, encode_documents
from training.mechanics.corpus.state import read_state, write_state
from training.mechanics.generation import sampling
from training.mechanics.trainers.refusals import not_finite, refuse_poisoned
from training.mechanics.trainers.settings import MOST_POINTS
from training.recipes.pretrain import PretrainRecipe

FIRST_LOSS = 0.1  # nats around ln V
# Judging costs a small part of learning: held-out tokens a tenth of those learned since the last evaluation ...
JUDGED = 10
FEWEST, QUICK = 4_096, 16_384  # ... within these bounds; the evaluation at the end knows no upper one
SAMPLES = 4
SAMPLE_TOKENS = 64
OPENING = 12  # tokens of a held-out text that a sample goes on from


@dataclass(slots=True)
class Work:
    """What the loop holds: everything but the step."""

    context: RunContext
    recipe: PretrainRecipe
    tokenizer: Any
    model: LlamaForCausalLM
    optimizer: torch.optim.Optimizer
    rows: Rows
    train: Stream
    quick: Stream | None
    """The first part of the held-out text; None where there is none."""
    openings: list[list[int]]
    autocast: Callable[[], Any]


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, PretrainRecipe)
    tokenizer = models.load_tokenizer(context.input("tokenizer"))
    train, held_out = (
        [row["text"] for row in datasets.read_rows(context.input("corpus"), split=split)] for split in ("train", "test")
    )
    if not held_out:
        context.warn("no_held_out", "There is no held-out text: nothing will tell how well this model generalises.")
    work = prepare(context, recipe, tokenizer=tokenizer, train=train, held_out=held_out)
    step = learn(work)
    metrics: dict[str, Any] = {
        "steps": step,
        "num_parameters": models.count_parameters(work.model),
        "train_tokens": tokens_of(recipe, step),
        "distinct_train_tokens": min(tokens_of(recipe, step), len(work.train.tokens)),
    }
    if held_out:
        most = max(FEWEST, tokens_of(recipe, step) // JUDGED)
        metrics |= judge(work, encode_documents(tokenizer, held_out, most=most), step=step)
    tokenizer.model_max_length = recipe.context
    models.publish_model(work.model, tokenizer, context.output)
    return metrics


def tokens_of(recipe: PretrainRecipe, steps: int) -> int:
    return steps * recipe.batch_size * recipe.context


def tell(context: RunContext, phase: str, unit: str, done: int, total: int) -> None:
    """Says how far a phase is; where a stop was asked for, it ends there (the last checkpoint stands)."""
    if context.stop_requested:
        raise Stopped
    context.progress(phase, done, total, unit=unit)


# What is trained


def prepare(
    context: RunContext, recipe: PretrainRecipe, *, tokenizer: Any, train: list[str], held_out: list[str]
) -> Work:
    seed = context.spec.seed + recipe.seed
    # In an order by lot, and no more than will be read: a short run on a large corpus starts at once.
    texts = [train[i] for i in np.random.default_rng(seed).permutation(len(train))]
    most = tokens_of(recipe, recipe.steps) + 2 * recipe.context
    stream = encode_documents(tokenizer, texts, most=most, tell=partial(tell, context, "reading", "texts"))
    device = models.device()
    model: Any = build_model(recipe, tokenizer=tokenizer, seed=seed)
    model.to(device)
    quick = min(QUICK, max(FEWEST, tokens_of(recipe, recipe.eval_every) // JUDGED))
    autocast = partial(torch.autocast, device.type, dtype=torch.bfloat16) if recipe.bf16 else nullcontext
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    openings = [
        [*begin, *tokenizer(text, add_special_tokens=False)["input_ids"][:OPENING]] for text in held_out[:SAMPLES]
    ]
    return Work(
        context=context,
        recipe=recipe,
        tokenizer=tokenizer,
        model=model,
        optimizer=build_optimizer(model, recipe),
        rows=Rows(stream, length=recipe.context, seed=seed),
        train=stream,
        quick=encode_documents(tokenizer, held_out, most=quick) if held_out else None,
        openings=openings,
        autocast=autocast,
    )


def build_model(recipe: PretrainRecipe, *, tokenizer: Any, seed: int) -> LlamaForCausalLM:
    """Weights depend on `seed` alone: they are drawn on the CPU, and leave the program's random state as it was."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=32 * math.ceil(recipe.hidden_size * 8 / 3 / 32),  # SwiGLU at the cost of a plain 4x MLP
        num_hidden_layers=recipe.num_layers,
        num_attention_heads=recipe.num_heads,
        num_key_value_heads=recipe.num_heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        initializer_range=min(0.02, 0.4 / math.sqrt(recipe.hidden_size)),  # logits near 0, whatever the width
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def build_optimizer(model: nn.Module, recipe: PretrainRecipe) -> torch.optim.AdamW:
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    weights = list(model.parameters())
    decayed = [weight for weight in weights if weight.ndim >= 2 and id(weight) not in embeddings]
    plain = [weight for weight in weights if weight.ndim < 2 or id(weight) in embeddings]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True)


def rate_at(step: int, recipe: PretrainRecipe) -> float:
    """The learning rate of the step after `step` steps."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * (0.1 + 0.9 * (1 + math.cos(math.pi * min(1.0, done))) / 2)


# The loop


def learn(work: Work) -> int:
    """Trains to the last step, from the newest good checkpoint if there is one. Raises `Stopped` and `Failure`."""
    context, recipe = work.context, work.recipe
    step = begin(work)
    every = math.ceil(recipe.steps / MOST_POINTS)
    context.progress("training", step, recipe.steps)
    clock, told_at = time.monotonic(), step
    while step < recipe.steps:
        loss, norm = one_step(work, step)
        step += 1
        context.progress("training", step, recipe.steps)
        if step % every == 0:
            now = time.monotonic()
            tokens = (step - told_at) * recipe.batch_size * recipe.context
            context.metric(
                step,
                loss=loss,
                bits_per_byte=loss / math.log(2) / work.train.bytes_per_token,
                grad_norm=norm,
                learning_rate=rate_at(step - 1, recipe),
                tokens_per_second=tokens / (now - clock),
            )
            clock, told_at = now, step
        if step % recipe.eval_every == 0 or step == recipe.steps or context.stop_requested:
            save(work, step)
        if context.stop_requested and step < recipe.steps:
            raise Stopped
        if step % recipe.eval_every == 0 and step < recipe.steps:
            look(work, step)
            clock = time.monotonic()
    return step


def begin(work: Work) -> int:
    newest = checkpoints.newest(work.context.checkpoints)
    if newest is not None:
        work.context.log(f"Resuming from {newest.name}.")
        step = read_state(newest, model=work.model, optimizer=work.optimizer)
        if step % work.recipe.eval_every == 0 and step < work.recipe.steps:
            look(work, step)  # which whoever was killed behind that checkpoint may not have come to
        return step
    if work.context.stop_requested:
        raise Stopped
    check_first_loss(work.model)
    look(work, 0)
    return 0


def one_step(work: Work, step: int) -> tuple[float, float]:
    """Loss and norm of the gradient of the step after `step` steps; raises `Failure` before a bad one is taken."""
    recipe, model = work.recipe, work.model
    ids_BT = torch.from_numpy(work.rows.batch_BT(step * recipe.batch_size, recipe.batch_size)).to(model.device)
    for group in work.optimizer.param_groups:
        group["lr"] = rate_at(step, recipe)
    with work.autocast():
        loss = model(input_ids=ids_BT, labels=ids_BT, use_cache=False).loss
    value = loss.item()
    if not math.isfinite(value):
        raise not_finite("The loss", step + 1)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm).item()
    if not math.isfinite(norm):
        raise not_finite("The norm of the gradient", step + 1)
    work.optimizer.step()
    work.optimizer.zero_grad(set_to_none=True)
    return value, norm


@torch.no_grad()
def check_first_loss(model: LlamaForCausalLM) -> None:
    """Raises `Failure("first_loss")` where the model has an opinion on 512 tokens that were drawn by lot."""
    vocab_size, length = model.config.vocab_size, min(128, model.config.max_position_embeddings)
    ids_BT = torch.randint(vocab_size, (512 // length, length), generator=torch.Generator().manual_seed(0))
    ids_BT = ids_BT.to(model.device)
    loss = model(input_ids=ids_BT, labels=ids_BT, use_cache=False).loss.item()
    if not abs(loss - math.log(vocab_size)) < FIRST_LOSS:
        raise Failure(
            "first_loss",
            f"Before training the loss is {loss:.3f}, and not ln {vocab_size:,} = {math.log(vocab_size):.3f}: "
            "the model is not one that knows nothing yet.",
        )


def save(work: Work, step: int) -> None:
    refuse_poisoned(work.model, step=step)
    checkpoints.publish(
        work.context.checkpoints,
        step,
        partial(write_state, model=work.model, optimizer=work.optimizer, step=step),
        keep=2,
    )


# What is told on the way and at the end


def look(work: Work, step: int) -> None:
    """Held-out bits per byte on a part of the text, and what the model would write now."""
    if work.quick is not None:
        work.context.metric(step, eval_bits_per_byte=held_out_bits(work, work.quick))
    sample(work, step)


def judge(work: Work, held_out: Stream, *, step: int) -> dict[str, float]:
    """The final numbers, over all held-out text, beside those of counting: a model that it beats has learned no order."""
    vocab_size = work.model.config.vocab_size
    found = {
        "eval_bits_per_byte": held_out_bits(work, held_out),
        "unigram_bits_per_byte": unigram_bits_per_byte(work.train, held_out, vocab_size=vocab_size),
        "bigram_bits_per_byte": bigram_bits_per_byte(work.train, held_out, vocab_size=vocab_size),
    }
    work.context.metric(step, **found)
    sample(work, step)
    return found


def held_out_bits(work: Work, stream: Stream) -> float:
    return bits_per_byte(
        work.model,
        stream,
        length=work.recipe.context,
        batch_size=work.recipe.batch_size,
        autocast=work.autocast,
        tell=partial(tell, work.context, "evaluating", "rows"),
    )


def sample(work: Work, step: int) -> None:
    """Always with the same openings and seeds: what changes from step to step is the model."""
    if not work.openings:
        return
    count = len(work.openings)
    answers = sampling.sample(
        work.model,
        work.tokenizer,
        work.openings,
        seeds=list(range(count)),
        temperatures=[0.7] * count,
        top_p=0.95,
        max_new_tokens=min(SAMPLE_TOKENS, work.recipe.context - OPENING - 1),
        batch_size=count,
        stop_requested=lambda: work.context.stop_requested,
    )
    for opening, answer in zip(work.openings, answers, strict=True):
        prompt = work.tokenizer.decode(opening, skip_special_tokens=True)
        work.context.sample(step, prompt=prompt, text=answer.text, ended=answer.ended)
