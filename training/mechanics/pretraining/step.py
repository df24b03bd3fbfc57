"""One step of pretraining: its rows read in parts, the gradient looked at before it is taken."""

from __future__ import annotations

import math
from contextlib import nullcontext

from torch import Tensor, nn

from training.mechanics.pretraining.attention import short_rows
from training.mechanics.pretraining.optimizers import set_rates
from training.mechanics.pretraining.work import Work
from training.mechanics.ranks import unsynchronised, whole
from training.mechanics.trainers.refusals import not_finite


def one_step(work: Work, share: float) -> tuple[float, float, bool]:
    """Loss, norm of the gradient, and whether the step was taken, with `share` of the peak rates.

    Moves the position on. Raises `Failure` before a step that is not finite is taken.
    """
    recipe, position = work.recipe, work.position
    set_rates(work.optimizers, share)
    loss = gradient(work)
    position.step, position.row = position.step + 1, position.row + recipe.batch_size
    if not math.isfinite(loss):
        raise not_finite("The loss", position.step)
    norm = whole(nn.utils.clip_grad_norm_(work.model.parameters(), recipe.max_grad_norm)).item()
    if not math.isfinite(norm):
        raise not_finite("The norm of the gradient", position.step)
    is_taken = not position.is_spike(norm, recipe.spikes)
    if is_taken:
        for optimizer in work.optimizers:
            optimizer.step()
        position.taken(norm)
    else:
        position.leave_out()
    work.model.zero_grad(set_to_none=True)
    return loss, norm, is_taken


def gradient(work: Work) -> float:
    """Adds up the gradients of the step's parts; the mean loss over all of them, in nats a token, of all processes."""
    recipe, ranks = work.recipe, work.context.ranks
    size = recipe.batch_size // recipe.accumulation
    parts = [work.batch(work.position.row + i * size, size) for i in range(recipe.accumulation)]
    # A mean over the step, not over each part: parts of a masked model have more or fewer gaps.
    count = max(1, int(ranks.total(sum(num_targets(part) for part in parts))))
    nats = 0.0
    for number, part in enumerate(parts, start=1):
        with nullcontext() if number == len(parts) else unsynchronised(work.part_loss):
            with work.autocast(), short_rows(work.model, on=work.short_rows):
                loss, told = work.part_loss(part, count)
            (loss * ranks.world).backward()  # gradients are means over processes
        nats += told.item()
    return ranks.total(nats) / count


def num_targets(part: dict[str, Tensor]) -> int:
    return part["targets"].numel() if "targets" in part else part["input_ids"][:, 1:].numel()
