"""A rater's own figures: her pace, and where the campaign lets her see it, how far she agrees with the others."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from accounts.models import User
from annotation.models import Campaign, Ranking, TaskKind, plan_of
from annotation.quality.intervals import ratio_interval
from annotation.quality.judgement import Measure, shared_votes, undefined, votes

LATEST = 500  # of her rankings


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """`seconds` is the median over `num_timed` of her rankings; `agreement` is None where the campaign does not show it."""

    seconds: float | None
    num_timed: int
    agreement: Measure | None


def own_figures(campaign: Campaign, *, rater: User) -> OwnFigures:
    mine = Ranking.objects.filter(rater=rater, task__campaign=campaign, is_live=True).order_by("-created_at", "-pk")
    took = [seconds for seconds in mine.values_list("seconds", flat=True)[:LATEST] if seconds is not None]
    plan = plan_of(campaign)
    return OwnFigures(
        seconds=statistics.median(took) if took else None,
        num_timed=len(took),
        agreement=agreement_with_others(campaign, rater=rater) if plan is not None and plan.shows_agreement else None,
    )


def agreement_with_others(campaign: Campaign, *, rater: User) -> Measure:
    """Of pairs of texts that she and another rater of the task both ordered, the share ordered alike; over her latest work."""
    live = Ranking.objects.filter(task__campaign=campaign, task__kind=TaskKind.WORK, is_live=True, cannot_rank="")
    mine = {one.task_id: one for one in live.filter(rater=rater).order_by("-created_at", "-pk")[:LATEST]}
    others: defaultdict[Any, list[Ranking]] = defaultdict(list)
    for one in live.filter(task__in=list(mine), is_simulated=rater.is_simulated).exclude(rater=rater):
        others[one.task_id].append(one)
    counts = []
    for task, found in others.items():
        own = votes(mine[task].shown_tiers)
        told = [a * b for one in found for a, b in shared_votes(own, votes(one.shown_tiers)) if a and b]
        if told:
            counts.append((float(told.count(1)), float(len(told))))
    if not counts:
        return undefined(gettext("It needs two raters on the same task, both with a preference."))
    num = int(sum(pairs for _, pairs in counts))
    low, high = ratio_interval(counts)
    return Measure(sum(alike for alike, _ in counts) / num, num=num, low=low, high=high)
