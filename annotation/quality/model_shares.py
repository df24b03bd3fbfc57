"""How often each model's text is the better one of a pair: by plain majority, and by Dawid & Skene's model of the votes.

The two baselines beside `model_scores`. An item is a pair of texts of one task by two models; its truth is which is better.
A tie is no vote for either: by both baselines, a pair on which nobody prefers a text counts half for each model.
Letters: those of `table`; I items, M models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotation.quality.bootstrap import RESAMPLES, measured, ratio, resampled_sums
from annotation.quality.dawid_skene import Coded, settle
from annotation.quality.judgement import Measure
from annotation.quality.sentences import UNCOMPARED
from annotation.quality.table import Floats, Ints, Table, columns, votes_on_columns

CLASSES = ("worse", "better")  # of the text whose id comes first in the alphabet
TOLERANCE = 1e-5  # of posteriors: shares, which average thousands of them, move by less


@dataclass(frozen=True, slots=True)
class Shares:
    """Of pairs with another model's text, the share in which a model's is better, ties half. `num` counts such pairs."""

    majority: dict[str, Measure]
    dawid_skene: dict[str, Measure]
    num_rounds: int
    is_settled: bool


@dataclass(frozen=True, slots=True)
class PairItems:
    """Items, with the task and the two models of each; and the votes on them."""

    task_I: Ints
    left_I: Ints
    right_I: Ints
    item: Ints
    rater: Ints
    vote: Ints  # 1 the left text is better, -1 worse, 0 a tie


def items_of(table: Table, *, model_TK: Ints) -> PairItems:
    """Pairs of texts by two known models."""
    votes_NC, there_NC = votes_on_columns(table.places_NK)
    one, other = columns()
    left, right = model_TK[table.task_N[:, None], one], model_TK[table.task_N[:, None], other]
    row, pair = np.nonzero(there_NC & (left != right) & (left >= 0) & (right >= 0))
    keys, item = np.unique(table.task_N[row] * len(one) + pair, return_inverse=True)
    task_I, pair_I = keys // len(one), keys % len(one)
    return PairItems(
        task_I=task_I, left_I=model_TK[task_I, one[pair_I]], right_I=model_TK[task_I, other[pair_I]],
        item=item, rater=table.rater_N[row], vote=votes_NC[row, pair].astype(np.intp),
    )  # fmt: skip


def model_shares(
    table: Table, *, model_TK: Ints, models: tuple[str, ...], num_resamples: int = RESAMPLES, seed: int = 0
) -> Shares:
    """Intervals resample tasks; Dawid & Skene's posteriors are taken as fitted to all."""
    items = items_of(table, model_TK=model_TK)
    if not len(items.item):
        nothing = {model: Measure(None, why=UNCOMPARED) for model in models}
        return Shares(nothing, nothing, 0, is_settled=True)
    totals_I = np.bincount(items.item, items.vote, minlength=len(items.task_I))
    by_majority_I = (np.sign(totals_I) + 1) / 2
    by_model_I, rounds, is_settled = posteriors(items, raters=table.raters)

    def shares(better_I: Floats) -> dict[str, Measure]:
        return shares_of(items, better_I, models=models, num_resamples=num_resamples, seed=seed)

    return Shares(shares(by_majority_I), shares(by_model_I), rounds, is_settled)


def shares_of(
    items: PairItems, better_I: Floats, *, models: tuple[str, ...], num_resamples: int, seed: int
) -> dict[str, Measure]:
    """`better_I` is how far the left text of an item is the better one, 0 to 1."""
    tasks, task_I = np.unique(items.task_I, return_inverse=True)
    m, shape = len(models), (len(tasks), len(models))
    won = np.bincount(task_I * m + items.left_I, better_I, len(tasks) * m)
    won += np.bincount(task_I * m + items.right_I, 1 - better_I, len(tasks) * m)
    num = np.bincount(task_I * m + items.left_I, minlength=len(tasks) * m)
    num = num + np.bincount(task_I * m + items.right_I, minlength=len(tasks) * m)
    stats = np.concatenate([won.reshape(shape), num.reshape(shape)], axis=1)
    resampled = resampled_sums(stats, num_resamples=num_resamples, seed=seed) if len(tasks) > 1 else None
    sums = stats.sum(axis=0, keepdims=True)
    return {
        model: measured(
            float(ratio(sums, of=at, over=m + at)[0]), num=round(sums[0, m + at]), why=UNCOMPARED,
            resampled_B=None if resampled is None else ratio(resampled, of=at, over=m + at),
        )
        for at, model in enumerate(models)
    }  # fmt: skip


def posteriors(items: PairItems, *, raters: tuple[str, ...]) -> tuple[Floats, int, bool]:
    """[I]: the chance that the left text is the better one, 1/2 where nobody prefers either; rounds; whether it settled."""
    found = np.full(len(items.task_I), 0.5)
    said = items.vote != 0
    if not said.any():
        return found, 0, True
    known, item = np.unique(items.item[said], return_inverse=True)
    coded = Coded(
        items=tuple(map(str, known.tolist())), raters=raters, classes=CLASSES, item=item, rater=items.rater[said],
        label=(items.vote[said] > 0).astype(np.intp),
    )  # fmt: skip
    posterior, rounds, is_settled = settle(coded, tolerance=TOLERANCE)
    found[known] = posterior[:, 1]
    return found, rounds, is_settled
