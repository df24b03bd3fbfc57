"""Means over rows that count differently: a sum by a sum, with its interval by rows, from moments that can be added up.

Sentences of one text resemble each other, and so do the tokens of one answer: rows are what is drawn, not what is in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FEWEST = 5  # rows: below it an interval says nothing
Z = 1.959964  # of 95 %
PLACES = 6


@dataclass(frozen=True, slots=True)
class Ratio:
    """`low` and `high` are the 95 % interval; None where fewer than `FEWEST` rows have something to count."""

    value: float
    low: float | None
    high: float | None
    num_rows: int

    def as_plain(self) -> dict[str, float | int | None]:
        """Rounded: in which order sums were taken shows in digits that mean nothing."""
        low, high = (None if end is None else round(end, PLACES) for end in (self.low, self.high))
        return {"value": round(self.value, PLACES), "low": low, "high": high, "num_rows": self.num_rows}


def moments(above: float, below: float) -> dict[str, float]:
    """Of one row; those of several rows are their sums by name."""
    return {"n": 1, "a": above, "b": below, "aa": above * above, "ab": above * below, "bb": below * below}


def ratio(sums: dict[str, float]) -> Ratio | None:
    """The sum of `above` by the sum of `below`, by the delta method; None where nothing was counted."""
    if not sums or not sums["b"]:
        return None
    value, n = sums["a"] / sums["b"], int(sums["n"])
    if n < FEWEST:
        return Ratio(value, None, None, n)
    spread = max(0.0, sums["aa"] - 2 * value * sums["ab"] + value * value * sums["bb"])
    reach = quantile(n - 1) * (spread * n / (n - 1)) ** 0.5 / abs(sums["b"])
    return Ratio(value, value - reach, value + reach, n)


def ratio_over(rows: Iterable[tuple[float, float]]) -> Ratio | None:
    total: dict[str, float] = {}
    for above, below in rows:
        for name, number in moments(above, below).items():
            total[name] = total.get(name, 0.0) + number
    return ratio(total)


def quantile(freedom: int) -> float:
    """Of Student's t, 97.5 %: the first terms of its expansion, good to a hundredth from 4 degrees of freedom on."""
    return Z + (Z**3 + Z) / (4 * freedom) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)
