"""Pretraining: a standard model of transformers learns from zero to foresee a corpus, or to fill in its gaps.

causal (Llama, Qwen3, GPT-2):  loss = mean over the tokens of a step of -log p(token | what stands before it in its row)
masked (BERT, ModernBERT):     loss = mean over the hidden tokens of a step of -log p(token | all that can be seen of its row)

How well a causal model does is told in bits per byte of held-out text, beside what counting single tokens and pairs reaches;
a masked one by the share of hidden tokens that it finds, beside the most frequent token and the pairs' best guess.

Before the first step the loss on tokens drawn by lot must be ln V: a model from zero knows nothing, and whatever
differs is a bug. The loop is our own because a step must be a function of (weights, moments, position) and of nothing else:
then a run that was killed and resumed ends in the same bits as one that was not.

Legend: B rows of a batch, T tokens a row, V tokens of the vocabulary.
"""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from functools import partial
from typing import Any

from training.context import RunContext, Stopped
from training.mechanics import checkpoints, models
from training.mechanics.estimate.probe import Probe
from training.mechanics.pretraining.architectures import check_first_loss
from training.mechanics.pretraining.optimizers import share_at
from training.mechanics.pretraining.spikes import MOST_RETURNS
from training.mechanics.pretraining.state import read_state, whole_tensors, write_state
from training.mechanics.pretraining.step import one_step
from training.mechanics.pretraining.sweep import choose_rate, start_anew
from training.mechanics.pretraining.telling import judge, look
from training.mechanics.pretraining.work import (
    FEWEST,
    JUDGED,
    SHARDS,
    Work,
    full_length,
    prepare,
    readable,
    shards,
    tokens_of,
)
from training.mechanics.trainers.refusals import refuse_poisoned
from training.mechanics.trainers.settings import MOST_POINTS
from training.recipes.pretrain import PretrainRecipe

# Checkpoints that a stop leaves standing: none is taken away by it, lest a run go back elsewhere for having stopped.
ALL = 10**9


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, PretrainRecipe)
    work = prepare(context, recipe)
    if work.quick is None:
        context.warn("no_held_out", "There is no held-out text: nothing will tell how well this model generalises.")
    multiple = learn(work)
    read = tokens_of(recipe, recipe.steps)
    metrics: dict[str, Any] = {
        "steps": recipe.steps,
        "num_parameters": models.count_parameters(work.model),
        "train_tokens": read,
        "distinct_train_tokens": min(read, len(work.train)),
        "steps_left_out": work.position.left_out,
    }
    if recipe.sweep:
        metrics["learning_rate"] = multiple * recipe.learning_rate
    if work.quick is not None:
        most = max(FEWEST, read // JUDGED)
        held_out = shards(context, work.tokenizer, "test", most=most)
        metrics |= judge(work, held_out, step=recipe.steps)
        if context.probe is not None:
            judged = full_length(held_out, context.input("corpus"), split="test", most=most)
            context.probe.owe("evaluation", total=work.tokens_to_judge + judged, unit="tokens")
    work.tokenizer.model_max_length = recipe.context
    made = readable(work)
    if context.ranks.is_first:
        models.publish_model(made.model, work.tokenizer, context.output)
        shutil.rmtree(context.dir / SHARDS)
    return metrics


# The loop


def learn(work: Work) -> float:
    """Trains to the last step, from the newest good checkpoint if there is one. Raises `Stopped` and `Failure`.

    Gives the multiple of the recipe's rate that was taken.
    """
    context, recipe = work.context, work.recipe
    multiple = begin(work)
    every = math.ceil(recipe.steps / MOST_POINTS)
    context.progress("training", work.position.step, recipe.steps)
    clock, told_at = time.monotonic(), work.position.step
    while work.position.step < recipe.steps:
        share = multiple * share_at(work.position.step, recipe)
        if context.probe is not None:
            probe_steps(work, context.probe)
            break
        loss, norm, is_taken = one_step(work, share)
        step = work.position.step
        context.agree_to_stop()
        context.progress("training", step, recipe.steps)
        if step % every == 0:
            now = time.monotonic()
            tokens = (step - told_at) * recipe.batch_size * recipe.context
            told = {"loss": loss, "grad_norm": norm, "learning_rate": share * recipe.learning_rate}
            if work.gaps is None:
                told["bits_per_byte"] = loss / math.log(2) / work.train.bytes_per_token
            context.metric(step, **told, tokens_per_second=tokens / (now - clock))
            clock, told_at = now, step
        if not is_taken and left_out(work, norm):
            told_at = work.position.step
            continue
        if step % recipe.eval_every == 0 or step == recipe.steps or context.stop_requested:
            save(work)
        if context.stop_requested and step < recipe.steps:
            raise Stopped
        if step % recipe.eval_every == 0 and step < recipe.steps:
            look(work, step)
            clock = time.monotonic()
    return multiple


def probe_steps(work: Work, probe: Probe) -> None:
    """Times steps until there were enough, and owes the rest of the training and what comes back in it."""
    recipe = work.recipe
    trials = len(recipe.sweep)
    steps = recipe.steps + trials * recipe.sweep_steps
    loop = probe.loop("training", total=steps, unit="steps")
    while work.position.step < recipe.steps and not loop.is_enough():
        if work.context.stop_requested:
            raise Stopped
        with loop.one():
            one_step(work, share_at(work.position.step, recipe))
        work.context.progress("training", work.position.step, recipe.steps)
    loop.leave()
    save(work)
    looks = 1 + (recipe.steps - 1) // recipe.eval_every
    work.tokens_to_judge += (looks + trials) * len(work.quick or ())
    probe.owe("samples", total=looks)
    probe.owe("checkpoints", total=math.ceil(recipe.steps / recipe.eval_every))


def begin(work: Work) -> float:
    newest = checkpoints.newest(work.context.checkpoints)
    if newest is not None:
        work.context.log(f"Resuming from {newest.name}.")
        multiple = choose_rate(work)
        work.position = read_state(newest, model=work.model, optimizers=work.optimizers)
        step = work.position.step
        if step % work.recipe.eval_every == 0 and step < work.recipe.steps:
            look(work, step)  # which whoever was killed behind that checkpoint may not have come to
        return multiple
    if work.context.agree_to_stop():
        raise Stopped
    fresh = readable(work)
    work.context.on_first(lambda: check_first_loss(fresh.model))
    multiple = choose_rate(work)
    look(work, 0)
    return multiple


def save(work: Work) -> None:
    step = work.position.step
    refuse_poisoned(work.model, step=step)
    ranks = work.context.ranks
    tensors = whole_tensors(work.model, work.optimizers, keep=ranks.is_first)
    with work.context.timed("checkpoints"):
        if ranks.is_first:
            checkpoints.publish(
                work.context.checkpoints,
                step,
                partial(write_state, tensors=tensors, position=work.position),
                keep=2 if step % work.recipe.eval_every == 0 else ALL,
            )
    ranks.wait()


# Spikes


def left_out(work: Work, norm: float) -> bool:
    """Tells a step that was not taken; goes back where there were too many of them in a row, and says so."""
    position, spikes = work.position, work.recipe.spikes
    assert spikes is not None
    said = f"Step {position.step} was not taken: its gradient's norm was {norm:.1f}, far outside what is usual."
    if position.left_out == 1:
        work.context.warn("step_left_out", said)
    else:
        work.context.log(said)
    work.context.metric(position.step, steps_left_out=position.left_out)
    if position.in_a_row < spikes.patience:
        return False
    if position.returns == MOST_RETURNS or checkpoint_step(work) >= position.step - position.in_a_row:
        bear(work)
        return False
    go_back(work)
    return True


def checkpoint_step(work: Work) -> int:
    """Of the last evaluation before this step."""
    every = work.recipe.eval_every
    return (work.position.step - 1) // every * every


def bear(work: Work) -> None:
    """Weights as they are now jump with whatever rows: leaving rows out would leave out all that come.

    So what is usual is learned anew, from steps that are taken, clipped as ever.
    """
    position = work.position
    position.norms, position.in_a_row = [], 0
    work.context.warn(
        "steep",
        f"The jumps went on at step {position.step} with other rows, so they come from the weights: steps are taken again, "
        f"their gradients clipped to {work.recipe.max_grad_norm:g}. A lower learning rate would be calmer.",
    )


def go_back(work: Work) -> None:
    """To the last checkpoint of an evaluation, or to the beginning, and on with the rows behind those that were read since.

    So it is the same one whether the run was stopped in between or not.
    """
    position, step = work.position, checkpoint_step(work)
    folder = work.context.checkpoints / f"{checkpoints.PREFIX}{step}"
    if step and checkpoints.is_whole(folder):
        work.position = read_state(folder, model=work.model, optimizers=work.optimizers)
    else:
        start_anew(work)
    work.position = replace(
        work.position, row=position.row, left_out=position.left_out, returns=position.returns + 1, in_a_row=0
    )
    work.context.log(f"After {position.in_a_row} such steps in a row the run went back to step {work.position.step}.")
