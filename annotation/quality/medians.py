"""Medians with exact intervals."""

from __future__ import annotations

import math

import numpy as np

from annotation.quality.judgement import Measure
from annotation.quality.sentences import TOO_FEW_VALUES
from annotation.quality.table import Floats

OUTSIDE = 0.025  # on either side of a 95 % interval
FEWEST = 6  # of which the smallest and the largest hold the median between them with 95 %


def median_of(values: Floats, *, why: str) -> Measure:
    """Over what is not nan. The interval runs between order statistics that hold the median between them with a chance of
    95 % or more, whatever the distribution (David & Nagaraja 2003, section 7.1). `why` is said where there is no value."""
    known = np.sort(values[~np.isnan(values)])
    num = len(known)
    if not num:
        return Measure(None, why=why)
    middle = float(np.median(known))
    if num < FEWEST:
        return Measure(middle, num=num, why=TOO_FEW_VALUES % {"num": FEWEST})
    below = most_below(num)
    return Measure(middle, num=num, low=float(known[below]), high=float(known[num - 1 - below]))


def most_below(num: int) -> int:
    """The largest j with P(Binomial(num, 1/2) <= j) <= 2.5 %."""
    logs = [
        math.lgamma(num + 1) - math.lgamma(k + 1) - math.lgamma(num - k + 1) - num * math.log(2)
        for k in range(num // 2 + 1)
    ]
    return int(np.searchsorted(np.cumsum(np.exp(logs)), OUTSIDE, side="right")) - 1
