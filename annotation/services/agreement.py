"""How far raters agree: of pairs of texts that two raters of one task both had a preference on, the share ordered alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from django.db.models import Count, Q

from annotation.models import Campaign, Ranking, RankingTask, TaskKind
from annotation.quality.intervals import ratio_interval
from annotation.weak_order import comparisons

MOST_TASKS = 2000  # the newest: a page that counts more is not worth its wait


@dataclass(frozen=True, slots=True)
class Agreement:
    """`share` with its 95 % interval, over `num_pairs` from `num_tasks`; `is_simulated` where a program took part."""

    share: float
    low: float
    high: float
    num_pairs: int
    num_tasks: int
    is_simulated: bool


def agreement_of(campaign: Campaign) -> Agreement | None:
    """Of the newest `MOST_TASKS` tasks that two have ranked; None where no two raters had a preference on the same pair.

    Counts people where two of them have ranked a task, programs only where nobody else did.
    """
    people = tally(campaign, Q(is_simulated=False))
    counts = people or tally(campaign, Q())
    if not counts:
        return None
    alike, pairs = sum(a for a, _ in counts), sum(n for _, n in counts)
    low, high = ratio_interval(counts)
    return Agreement(alike / pairs, low, high, pairs, len(counts), is_simulated=not people)


def tally(campaign: Campaign, whose: Q) -> list[tuple[int, int]]:
    """For each task with any: pairs of texts that two raters ordered alike, and all that both ordered."""
    live = Ranking.objects.filter(whose, task__campaign=campaign, task__kind=TaskKind.WORK, is_live=True).order_by()
    twice = live.values("task").annotate(n=Count("rater", distinct=True)).filter(n__gte=2)
    tasks = RankingTask.objects.filter(pk__in=twice.values("task")).order_by("-created_at", "-pk")[:MOST_TASKS]
    by_task: defaultdict[Any, list[set[tuple[str, str]]]] = defaultdict(list)
    for task, tiers in live.filter(task__in=list(tasks.values_list("pk", flat=True))).values_list("task", "tiers"):
        by_task[task].append({(pair.better, pair.worse) for pair in comparisons(tiers)})
    counts = [alike_of(orders) for orders in by_task.values()]
    return [(alike, pairs) for alike, pairs in counts if pairs]


def alike_of(orders: Iterable[set[tuple[str, str]]]) -> tuple[int, int]:
    alike = pairs = 0
    for one, other in combinations(orders, 2):
        same, opposite = len(one & other), len(one & {(worse, better) for better, worse in other})
        alike, pairs = alike + same, pairs + same + opposite
    return alike, pairs
