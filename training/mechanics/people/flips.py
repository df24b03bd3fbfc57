"""How likely each comparison is the wrong way round, by who gave it: robust DPO's share of flips, rater by rater.

`people.reliability` tells a rater's lot, the share of her rankings that might as well have been drawn by lot. A pair that is
drawn by lot is the wrong way round half of the time, so e = lot / 2.

Robust DPO's loss is divided by 1 - 2e, which makes it unbiased and, of a rater who is nearly all lot, all noise: its gradient
would be fifty times anybody else's. Unbiased figures of unequal noise are best added by the inverse of its variance, so a
comparison's weight is multiplied by (1 - 2e)^2; weights are scaled to mean 1 afterwards, as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.context import RunContext
from training.mechanics.people.rankings import Group
from training.mechanics.people.reliability import found_out


def flip_rates(groups: Sequence[Group], *, context: RunContext) -> dict[str, float]:
    """e of each rater who ordered texts that another one ordered, too; empty, and said, where there is none."""
    return {name: rater.lot / 2 for name, rater in found_out(groups, context=context).items()}


def with_flips(
    rows: list[dict[str, Any]], rates: dict[str, float], *, unknown: float, context: RunContext
) -> list[dict[str, Any]]:
    """Comparisons with the `label_smoothing` of their raters, `unknown` of those about whom nothing is known, and weights."""
    num_unknown = sum(row["rater"] not in rates for row in rows)
    if rates and num_unknown:
        context.log(
            f"{num_unknown} of {len(rows)} comparisons are by raters of whom nothing is known: {unknown:.0%} taken to be wrong."
        )
    told = [(row, rates.get(row["rater"], unknown)) for row in rows]
    return [{**row, "label_smoothing": e, "weight": row["weight"] * (1 - 2 * e) ** 2} for row, e in told]
