"""Two more bets against a rater who does not read: on haste, and on putting texts in the order in which they were shown.

Both are valid whenever one looks, as the bet of `sequential` is, and wait in the same way for one who stops caring later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from annotation.quality.bias import FASTEST, HASTE_ALLOWED
from annotation.quality.judgement import Order, positions
from annotation.quality.sequential import FIRST

HASTE_BET = (
    0.5  # share of hasty rankings that the bet is made for: each takes the stake to ten times, each other to half
)
LEAN_ALLOWED = 0.6  # an honest rater may put up to this share of pairs in the order shown, or against it
LEAN_BET = 1.2  # of at most 1 / LEAN_ALLOWED: clicking through in the order shown takes the stake to 1.48 times


@dataclass(frozen=True, slots=True)
class Timed:
    """One ranking: what it took, and what there was to read."""

    seconds: float
    num_characters: int

    @property
    def is_hasty(self) -> bool:
        return self.num_characters > FASTEST * self.seconds


@dataclass(frozen=True, slots=True)
class Watched:
    """`decided_at` is the number of observations after which the bet was won; None while it is not."""

    num: int
    share: float
    decided_at: int | None


def watch_haste(rankings: Iterable[Timed], *, alpha: float) -> Watched:
    """Whether more than `HASTE_ALLOWED` of her rankings are faster than anybody reads, at a chance of `alpha` of a false yes.

    The likelihood ratio of two shares (Wald 1945), a supermartingale while an honest rater is hasty with a chance of
    `HASTE_ALLOWED` at most, whatever came before.
    """
    hasty = [ranking.is_hasty for ranking in rankings]
    factors = [HASTE_BET / HASTE_ALLOWED if one else (1 - HASTE_BET) / (1 - HASTE_ALLOWED) for one in hasty]
    return Watched(len(hasty), sum(hasty) / len(hasty) if hasty else 0.0, won_at(factors, alpha=alpha))


def watch_leaning(rankings: Iterable[tuple[Order, tuple[str, ...]]], *, alpha: float) -> Watched:
    """Whether she leans to the order shown, or against it, by more than `LEAN_ALLOWED` of the pairs.

    `rankings` are (tiers, texts as shown). Orders were drawn at random, so that without leaning the share of a ranking's
    pairs that stand as shown is one half on average, whatever the texts and whatever came before. Rankings that tie all
    texts say nothing. Each direction has half of `alpha`.
    """
    shares = [share for tiers, shown in rankings if (share := share_as_shown(tiers, shown)) is not None]
    ends = [
        won_at((1 + LEAN_BET * (share - LEAN_ALLOWED) for share in side), alpha=alpha / 2)
        for side in (shares, [1 - share for share in shares])
    ]
    won = [end for end in ends if end is not None]
    return Watched(len(shares), sum(shares) / len(shares) if shares else 0.0, min(won) if won else None)


def share_as_shown(tiers: Order, shown: tuple[str, ...]) -> float | None:
    """Of the pairs that a ranking orders, the share in which the text shown first is the better; None where it orders none."""
    at = positions(tiers)
    ranked = [name for name in shown if name in at]
    pairs = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :] if at[a] != at[b]]
    return sum(at[a] < at[b] for a, b in pairs) / len(pairs) if pairs else None


def won_at(factors: Iterable[float], *, alpha: float) -> int | None:
    """After how many factors a bet has 1 / alpha. What waits joins with (1 - FIRST) / (n (n - 1)), as in `sequential`."""
    stake = 0.0
    for num, factor in enumerate(factors, start=1):
        joining = FIRST if num == 1 else (1 - FIRST) / (num * (num - 1))
        stake = (stake + joining) * factor
        if stake + (1 - FIRST) / num >= 1 / alpha:
            return num
    return None
