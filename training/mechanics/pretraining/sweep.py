"""The learning rate by trial: short runs from the same weights on the same rows, of which the best rate is taken.

What each came to is kept in RUN_DIR/sweep.json, so that whoever resumes tries none twice, and takes the same rate.
"""

from __future__ import annotations

import json
import math
from statistics import fmean
from typing import Any

import torch

from training import contract
from training.contract import Failure
from training.mechanics.pretraining.architectures import build_model
from training.mechanics.pretraining.optimizers import build_optimizers, share_at
from training.mechanics.pretraining.spikes import Position
from training.mechanics.pretraining.step import one_step
from training.mechanics.pretraining.telling import held_out_figures
from training.mechanics.pretraining.work import Work, readable, tell
from training.mechanics.ranks import like

FOUND = "sweep.json"


def choose_rate(work: Work) -> float:
    """The multiple of the recipe's rates that came out best; leaves the work with fresh weights. 1 without a sweep."""
    recipe, path = work.recipe, work.context.dir / FOUND
    if not recipe.sweep or work.context.probe is not None:  # an estimate counts the trials' steps among the others
        return 1.0
    found: dict[str, float | None] = json.loads(path.read_text()) if path.exists() else {}
    for number, multiple in enumerate(recipe.sweep):
        tell(work.context, "sweep", "runs", number, len(recipe.sweep))
        if str(multiple) not in found:
            start_anew(work)
            found[str(multiple)] = result = try_rate(work, multiple)
            work.context.log(f"{multiple:g} times the rate: {named(work, result)} after {recipe.sweep_steps} steps.")
            if work.context.ranks.is_first:
                contract.write_atomically(path, json.dumps(found))
    start_anew(work)
    good = {float(multiple): result for multiple, result in found.items() if result is not None}
    if not good:
        raise Failure(
            "no_rate", "None of the learning rates that were tried trains this model.", advice="Try smaller ones."
        )
    best = min(good, key=lambda multiple: (good[multiple], multiple))
    work.context.log(f"{best:g} times the rate was best, and is taken.")
    return best


def try_rate(work: Work, multiple: float) -> float | None:
    """Held-out figure of a short run, warmed up and decayed within it; the last losses without held-out text; None for one
    that broke."""
    steps = work.recipe.sweep_steps
    warmup = min(work.recipe.warmup_steps, steps // 5)
    short = work.recipe.model_copy(update={"steps": steps, "warmup_steps": warmup})
    losses: list[float] = []
    try:
        while work.position.step < steps:
            losses.append(one_step(work, multiple * share_at(work.position.step, short))[0])
            work.context.agree_to_stop()
            tell(work.context, "trying a rate", "steps", work.position.step, steps)
    except Failure as failure:
        if failure.code != "not_finite":
            raise
        return None
    if work.quick is None:
        return fmean(losses[-10:])
    seen, quick = readable(work), work.quick
    results: list[float] = []
    work.context.on_first(lambda: results.append(figure_of(held_out_figures(seen, quick))))
    result = work.context.ranks.of_first(sum(results))
    return result if math.isfinite(result) else None


def figure_of(found: dict[str, float]) -> float:
    return found.get("eval_bits_per_byte", found.get("eval_loss", math.inf))


def named(work: Work, result: float | None) -> str:
    if result is None:
        return "it broke"
    if work.quick is None:
        return f"a loss of {result:.4f}"
    return f"{result:.4f} bits a byte" if work.gaps is None else f"a held-out loss of {result:.4f}"


def start_anew(work: Work) -> None:
    """The weights of step 0, no moments, and the first row."""
    fresh: Any = build_model(work.recipe, tokenizer=work.tokenizer, seed=work.seed)
    with torch.no_grad():
        for weight, given in zip(work.model.parameters(), fresh.parameters(), strict=True):
            weight.copy_(like(weight, given))
    work.optimizers = build_optimizers(work.model, work.recipe)
    work.position = Position()
