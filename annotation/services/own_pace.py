"""How far a campaign is and how fast a rater goes, in words for her."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from django.core.cache import cache
from django.db.models import Count, Q

from accounts.models import User
from annotation.models import Campaign, Ranking, Slot
from annotation.services.progress import FRESH, LARGE

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
    """How far a large campaign is was counted within the last minute."""
    wanted, free = places_of(campaign)
    mine = Ranking.objects.filter(rater=rater, task__campaign=campaign, is_live=True, seconds__isnull=False)
    newest = list(mine.order_by("-created_at", "-pk").values_list("seconds", flat=True)[:NEWEST])
    took = [seconds for seconds in newest if seconds is not None]
    return Pace(wanted - free, wanted, num_mine, statistics.median(took) if len(took) >= FEWEST else None)


def places_of(campaign: Campaign) -> tuple[int, int]:
    """How many places a campaign has for everybody, and how many are free."""
    key = f"annotation.places.{campaign.pk}"
    known: tuple[int, int] | None = cache.get(key)
    if known is not None:
        return known
    places = Slot.objects.filter(campaign=campaign, reserved_for=None).order_by()
    told = places.aggregate(wanted=Count("pk"), free=Count("pk", filter=Q(is_free=True)))
    counted = told["wanted"], told["free"]
    if counted[0] >= LARGE:
        cache.set(key, counted, FRESH.total_seconds())
    return counted
