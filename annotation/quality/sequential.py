"""Pausing a rater who guesses, after as few rankings as can be, at a stated chance of pausing one who does not.

A bet against her being honest, valid whenever one looks (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random
variables by betting", section 4): as long as her credit is at least `floor` on average, whatever came before, the stake is a
nonnegative supermartingale, and reaches 1 / alpha with a chance of alpha at most, over her whole life (Ville 1939). It
supposes nothing of how pairs of one ranking depend on each other, of the number of texts, or of ties.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

ALPHA = 0.05
FLOOR = 0.63  # the lowest agreement published for people who rank completions (Bai et al. 2022, section 2)
CHANCE = 0.5  # mean credit of one who guesses
FIRST = 0.9  # share of the stake that is bet from the first ranking on; the rest waits for one who stops caring later
MOST_AT_RISK = 0.95  # of what a bet could lose, so that one good ranking never ends the test


@dataclass(frozen=True, slots=True)
class PauseTest:
    """The whole state, updated one ranking at a time. `stake` is what is bet now; it may be written as JSON and read back."""

    alpha: float = ALPHA
    floor: float = FLOOR
    num: int = 0
    credit: float = 0.0  # sum over rankings
    stake: float = 0.0
    is_paused: bool = False

    def to_json(self) -> dict[str, float | int | bool]:
        return {
            "alpha": self.alpha, "floor": self.floor, "num": self.num, "credit": self.credit, "stake": self.stake,
            "is_paused": self.is_paused,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, float | int | bool]) -> PauseTest:
        return cls(
            alpha=float(data["alpha"]), floor=float(data["floor"]), num=int(data["num"]), credit=float(data["credit"]),
            stake=float(data["stake"]), is_paused=bool(data["is_paused"]),
        )  # fmt: skip

    @property
    def evidence(self) -> float:
        """Stake and what waits: at most `1 / alpha` ever, but with chance `alpha`, for one who is honest."""
        return self.stake + (_waiting_after(self.num) if self.num else 1.0)

    @property
    def sentence(self) -> str:
        if not self.num:
            return "No ranking has been compared yet."
        about = f"{self.credit / self.num:.0%} of pairs as expected over {self.num} rankings, where guessing gives 50 %"
        if self.is_paused:
            return f"Paused: {about}. A rater with {self.floor:.0%} would be paused with a chance of {self.alpha:.0%} at most."
        return f"Goes on: {about}."


def update(test: PauseTest, *, credit: float, k: int) -> PauseTest:
    """The test after one more ranking of `k` texts, with `credit` in [0, 1] as of `gold.credit`. A paused one stays so.

    Mass that joins at ranking n has weight (1 - FIRST) / (n (n - 1)): all weights sum to 1, so that the mixture over the
    times at which she may have stopped caring is a bet as well, and needs no more than this state.
    """
    if not 0.0 <= credit <= 1.0:
        raise ValueError(f"A credit lies between 0 and 1, and {credit} does not.")
    num = test.num + 1
    joining = FIRST if num == 1 else (1 - FIRST) / (num * (num - 1))
    bet = _bet(k, test.floor)
    after = PauseTest(
        alpha=test.alpha,
        floor=test.floor,
        num=num,
        credit=test.credit + credit,
        stake=(test.stake + joining) * (1 + bet * (test.floor - credit)),
        is_paused=test.is_paused,
    )
    if after.is_paused or after.evidence < 1 / test.alpha:
        return after
    return PauseTest(after.alpha, after.floor, after.num, after.credit, after.stake, is_paused=True)


def resumed(test: PauseTest) -> PauseTest:
    """A fresh test of the same rate, for a rater whom somebody let go on."""
    return PauseTest(alpha=test.alpha, floor=test.floor)


def expected_delay(*, k: int, alpha: float = ALPHA, floor: float = FLOOR) -> float:
    """Rankings of `k` texts until one who guesses is paused, about: log(1 / alpha) over the bet's growth (Wald 1945)."""
    bet = _bet(k, floor)
    growth = sum(p * math.log(1 + bet * (floor - credit)) for credit, p in guessed_credits(k))
    return math.log(1 / (alpha * FIRST)) / growth


def _waiting_after(num: int) -> float:
    """What joins after ranking `num`: the tail of (1 - FIRST) / (n (n - 1))."""
    return (1 - FIRST) / num


@lru_cache(maxsize=64)
def guessed_credits(k: int) -> tuple[tuple[float, float], ...]:
    """(credit, chance) of a random strict order of `k` texts against a strict gold: by numbers of inversions (Mahonian)."""
    ways: Counter[int] = Counter({0: 1})
    for size in range(2, k + 1):
        ways = Counter(
            {total: sum(ways[total - new] for new in range(size)) for total in range(math.comb(size, 2) + 1)}
        )
    pairs, orders = math.comb(k, 2), math.factorial(k)
    return tuple((1 - wrong / pairs, count / orders) for wrong, count in sorted(ways.items()))


@lru_cache(maxsize=64)
def _bet(k: int, floor: float) -> float:
    """The bet that grows fastest against one who guesses (Kelly 1956), chosen before the answer: depends on `k` alone.

    The derivative of the growth falls in the bet, so that halving finds its zero.
    """
    low, high = 0.0, MOST_AT_RISK / (1 - floor)
    for _ in range(60):
        bet = (low + high) / 2
        slope = sum(p * (floor - credit) / (1 + bet * (floor - credit)) for credit, p in guessed_credits(k))
        low, high = (bet, high) if slope > 0 else (low, bet)
    return low
