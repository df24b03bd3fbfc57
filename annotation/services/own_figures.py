"""A rater's own figures: her pace, and where the campaign lets her see it, how far she agrees with the others."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext

from accounts.models import User
from annotation.models import Campaign, Ranking, TaskKind
from annotation.quality.intervals import ratio_interval
from annotation.quality.judgement import Measure, Order, shared_votes, undefined, votes

LATEST = 500  # of her rankings


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """`seconds` is the median over `num_timed` of her rankings; `agreement` is None where the campaign does not show it."""

    seconds: float | None
    num_timed: int
    agreement: Measure | None


def own_figures(campaign: Campaign, *, rater: User) -> OwnFigures:
    return figures_in([Campaign.objects.select_related("quality_plan").get(pk=campaign.pk)], rater=rater)[campaign.pk]


def figures_in(campaigns: Sequence[Campaign], *, rater: User) -> dict[int, OwnFigures]:
    """By campaign id, in a query, and one more where a plan shows agreement. Campaigns come with their quality plans."""
    live = Ranking.objects.filter(rater=rater, task__campaign__in=campaigns, is_live=True)
    took: defaultdict[int, list[float]] = defaultdict(list)
    for campaign, seconds in latest(live).values_list("task__campaign", "seconds"):
        if seconds is not None:
            took[campaign].append(seconds)
    shown = [one for one in campaigns if hasattr(one, "quality_plan") and one.quality_plan.shows_agreement]
    agreement = agreement_with_others(shown, rater=rater)
    return {
        one.pk: OwnFigures(
            seconds=statistics.median(took[one.pk]) if took[one.pk] else None,
            num_timed=len(took[one.pk]),
            agreement=agreement.get(one.pk),
        )
        for one in campaigns
    }


def latest(rankings: QuerySet[Ranking]) -> QuerySet[Ranking]:
    """The newest `LATEST` of each campaign."""
    place = Window(RowNumber(), partition_by="task__campaign", order_by=["-created_at", "-pk"])
    return rankings.order_by().annotate(place=place).filter(place__lte=LATEST)


def agreement_with_others(campaigns: Sequence[Campaign], *, rater: User) -> dict[int, Measure]:
    """By campaign id: of pairs of texts that she and another rater of the task both ordered, the share ordered alike.

    Over her latest work.
    """
    if not campaigns:
        return {}
    work = Ranking.objects.filter(task__kind=TaskKind.WORK, is_live=True, cannot_rank="")
    mine = latest(work.filter(rater=rater, task__campaign__in=campaigns))
    told = work.filter(Q(rater=rater) | Q(is_simulated=rater.is_simulated), task__in=mine.values("task")).order_by()
    own: dict[Any, Order] = {}
    others: defaultdict[tuple[int, Any], list[Order]] = defaultdict(list)
    for campaign, task, by, tiers, edit in told.values_list("task__campaign", "task", "rater", "tiers", "edit"):
        shown = tiers[1:] if edit else tiers
        if by == rater.pk:
            own[task] = shown
        else:
            others[campaign, task].append(shown)
    counts: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for (campaign, task), orders in others.items():
        if signs := signs_of(own[task], orders):
            counts[campaign].append((float(signs.count(1)), float(len(signs))))
    return {one.pk: share_of(counts[one.pk]) for one in campaigns}


def signs_of(own: Order, others: Iterable[Order]) -> list[int]:
    """1 for each pair that she and another both ordered, and alike; -1 where they did not."""
    mine = votes(own)
    return [a * b for order in others for a, b in shared_votes(mine, votes(order)) if a and b]


def share_of(counts: list[tuple[float, float]]) -> Measure:
    """Of (alike, both ordered) by task."""
    if not counts:
        return undefined(gettext("It needs two raters on the same task, both with a preference."))
    num = int(sum(pairs for _, pairs in counts))
    low, high = ratio_interval(counts)
    return Measure(sum(alike for alike, _ in counts) / num, num=num, low=low, high=high)
