"""What a pretraining run tells on its way and at the end: held-out figures beside those of counting, and samples."""

from __future__ import annotations

from functools import partial

import torch

from training.mechanics.corpus.bits import bigram_bits_per_byte, bits_per_byte, unigram_bits_per_byte
from training.mechanics.corpus.packing import Stream
from training.mechanics.generation import sampling
from training.mechanics.pretraining.found_again import baselines, measure, tensors
from training.mechanics.pretraining.losses import masked_states
from training.mechanics.pretraining.work import OPENING, SAMPLES, Work, readable, tell

SAMPLE_TOKENS = 64


def look(work: Work, step: int) -> None:
    """Held-out figures on a part of the text, and what the model would write now: told by the first process alone."""
    seen = readable(work)
    work.context.on_first(partial(look_alone, seen, step))


def look_alone(work: Work, step: int) -> None:
    if work.quick is not None:
        work.context.metric(step, **held_out_figures(work, work.quick))
    sample(work, step)


def judge(work: Work, held_out: Stream, *, step: int) -> dict[str, float]:
    """The final numbers, over all held-out text, beside those of counting: a model that it beats has learned no order.

    Found by the first process alone.
    """
    seen, found = readable(work), dict[str, float]()
    work.context.on_first(lambda: found.update(judge_alone(seen, held_out, step=step)))
    return found


def judge_alone(work: Work, held_out: Stream, *, step: int) -> dict[str, float]:
    vocab_size = work.model.config.vocab_size
    found = held_out_figures(work, held_out)
    if work.gaps is not None:
        gaps = work.gaps_of(held_out)
        found |= baselines(work.train, gaps, work.gaps.words, batch_size=work.recipe.batch_size)
    else:
        found |= {
            "unigram_bits_per_byte": unigram_bits_per_byte(work.train, held_out, vocab_size=vocab_size),
            "bigram_bits_per_byte": bigram_bits_per_byte(work.train, held_out, vocab_size=vocab_size),
        }
    work.context.metric(step, **found)
    sample(work, step)
    return found


def held_out_figures(work: Work, stream: Stream) -> dict[str, float]:
    recipe, told = work.recipe, partial(tell, work.context, "evaluating", "rows")
    size = recipe.batch_size // recipe.accumulation
    with work.context.timed("evaluation", units=len(stream)):
        if work.gaps is not None:
            rows = work.gaps_of(stream)
            return measure(
                work.model, rows, batch_size=size, most=rows.rows.rows_per_pass, autocast=work.autocast, tell=told
            )
        bits = bits_per_byte(
            work.model, stream, length=recipe.context, batch_size=size, autocast=work.autocast, tell=told
        )
        return {"eval_bits_per_byte": bits}


def sample(work: Work, step: int) -> None:
    """Always with the same openings and seeds: what changes from step to step is the model."""
    if not work.openings:
        return
    with work.context.timed("samples"):
        if work.gaps is not None:
            fill_in(work, step)
        else:
            go_on(work, step)


def go_on(work: Work, step: int) -> None:
    """Held-out openings, and what the model would write behind them."""
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


@torch.no_grad()
def fill_in(work: Work, step: int) -> None:
    """Held-out rows with their gaps, and the same rows with what the model would put there."""
    assert work.quick is not None
    rows = work.gaps_of(work.quick)
    for number in range(min(SAMPLES, rows.rows.rows_per_pass)):
        gaps = rows.batch(number, 1)
        with work.autocast():
            hidden_ND, _ = masked_states(work.model, work.model.base_model, tensors(gaps, work.model.device))
            said_N = work.model.get_output_embeddings()(hidden_ND).argmax(dim=-1).cpu().numpy()
        filled_T = gaps.input_ids[0].copy()
        filled_T[gaps.places] = said_N
        work.context.sample(
            step,
            prompt=work.tokenizer.decode(gaps.input_ids[0][:SAMPLE_TOKENS].tolist()),
            text=work.tokenizer.decode(filled_T[:SAMPLE_TOKENS].tolist()),
        )
