"""How far a campaign is and how fast a rater goes, in words for her."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from accounts.models import User
from annotation.models import Campaign, Ranking, Slot

NEWEST = 20  # rankings from which a pace is told
FEWEST = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """`taken` of `wanted` places are ranked or on a desk. `seconds` is the median of her newest rankings; None of too few."""

    taken: int
    wanted: int
    num_mine: int
    seconds: float | None

    @property
    def is_all_taken(self) -> bool:
        return self.taken >= self.wanted

    @property
    def minutes(self) -> int:
        return round((self.seconds or 0) / 60)


def pace_of(campaign: Campaign, *, rater: User, num_mine: int) -> Pace:
    """Two counts, each of one index; and her newest rankings."""
    open_to_all = Slot.objects.filter(campaign=campaign, reserved_for=None)
    wanted = open_to_all.order_by().count()
    free = open_to_all.filter(is_free=True).order_by().count()
    mine = Ranking.objects.filter(rater=rater, task__campaign=campaign, is_live=True, seconds__isnull=False)
    newest = list(mine.order_by("-created_at", "-pk").values_list("seconds", flat=True)[:NEWEST])
    took = [seconds for seconds in newest if seconds is not None]
    return Pace(wanted - free, wanted, num_mine, statistics.median(took) if len(took) >= FEWEST else None)
