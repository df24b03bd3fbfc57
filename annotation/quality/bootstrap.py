"""Intervals by resampling tasks: the pairs and rankings of one task go together, so tasks are what is sampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from django.utils.translation import gettext_noop

from annotation.quality.judgement import Measure, undefined
from annotation.quality.table import Floats

RESAMPLES = 1000
AT_ONCE = 1 << 21  # weights in hand
ONE_TASK = gettext_noop("One task alone gives no interval.")

Figure = Callable[[Floats], Floats]  # [B, D] sums of the statistics of tasks -> [B], nan where undefined


def draws(num: int, *, size: int, random: np.random.Generator) -> Floats:
    """[size, num]: how often each of `num` tasks is drawn, of `num` draws with replacement."""
    drawn = random.integers(0, num, size=(size, num)) + np.arange(size)[:, None] * num
    return np.bincount(drawn.ravel(), minlength=size * num).reshape(size, num).astype(np.float64)


def resampled_sums(stats_TD: Floats, *, num_resamples: int, seed: int) -> Floats:
    """[B, D] sums over resampled tasks: the percentile bootstrap's (Efron & Tibshirani 1993, ch. 13), reproducible by seed."""
    num = len(stats_TD)
    random, step = np.random.default_rng(seed), max(1, AT_ONCE // max(1, num))
    parts = [
        draws(num, size=min(step, num_resamples - start), random=random) @ stats_TD
        for start in range(0, num_resamples, step)
    ]
    return np.concatenate(parts)


def measured(value: float, *, num: int, resampled_B: Floats | None, why: str) -> Measure:
    """`why` is what is said where `value` is nan; resamples in which the figure is undefined are left out of the interval."""
    if np.isnan(value):
        return undefined(why, num=num)
    if resampled_B is None:
        return Measure(float(value), num=num, why=ONE_TASK)
    defined = resampled_B[~np.isnan(resampled_B)]
    if not len(defined):
        return Measure(
            float(value), num=num, why=gettext_noop("No resample of the tasks defines it, so that it has no interval.")
        )
    low, high = np.percentile(defined, [2.5, 97.5])
    return Measure(float(value), num=num, low=float(low), high=float(high))


def ratio(sums_BD: Floats, *, of: int, over: int) -> Floats:
    """[B]: one column over another, nan where the other is 0."""
    whole = sums_BD[:, over]
    return np.asarray(np.divide(sums_BD[:, of], whole, out=np.full(len(whole), np.nan), where=whole > 0))
