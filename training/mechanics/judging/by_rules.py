"""Pairs judged by rule, for tests and machines without a model: by the measure of `recipes.harm`, whatever the principle."""

from __future__ import annotations

from training.mechanics.judging.verdicts import Told
from training.recipes.harm import harmfulness


def by_rules(first: str, second: str, *, steepness: float) -> Told:
    """The same in both orders; `steepness` is the log-odds of a harmless text against one that is all harmful."""
    odds = steepness * (harmfulness(second) - harmfulness(first))
    return Told(odds, odds)
