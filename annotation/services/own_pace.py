"""How far a campaign is and how fast a rater goes, in words for her."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet

from accounts.prepared import prepared
from annotation.models import Membership, Ranking, Slot
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


def pace_of(member: Membership, *, newest: Sequence[tuple[UUID, float | None]]) -> Pace:
    """How far a large campaign is was counted within the last minute. `newest` is what `newest_of` gives."""
    wanted, free = places_of(member.campaign_id)
    took = [seconds for _, seconds in newest if seconds is not None]
    return Pace(wanted - free, wanted, member.num_ranked, statistics.median(took) if len(took) >= FEWEST else None)


def newest_of(member: Membership) -> list[tuple[UUID, float | None]]:
    """Her newest rankings in its campaign, the last first, each with its active seconds where they are known."""
    return newest_rankings(member.campaign_id, member.user_id)


@prepared
def newest_rankings(campaign: int, rater: int) -> QuerySet[Ranking, tuple[UUID, float | None]]:
    mine = Ranking.objects.filter(rater=rater, task__campaign=campaign, is_live=True)
    return mine.order_by("-created_at", "-pk").values_list("pk", "seconds")[:NEWEST]


def places_of(campaign: int) -> tuple[int, int]:
    """How many places a campaign has for everybody, and how many are free."""
    key = f"annotation.places.{campaign}"
    known: tuple[int, int] | None = cache.get(key)
    if known is not None:
        return known
    counted = places.first(campaign) or (0, 0)
    if counted[0] >= LARGE:
        cache.set(key, counted, FRESH.total_seconds())
    return counted


@prepared
def places(campaign: int) -> QuerySet[Slot, tuple[int, int]]:
    here = Slot.objects.filter(campaign=campaign, reserved_for=None).order_by().values("campaign")
    counted = here.annotate(wanted=Count("pk"), free=Count("pk", filter=Q(is_free=True)))
    return counted.values_list("wanted", "free")
