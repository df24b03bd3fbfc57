"""How far the raters of one task agree, kept beside it, so that a page can begin with those that agree least."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import combinations
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.prepared import Changes, prepared, prepared_update
from annotation.models import Ranking, RankingTask, TaskKind
from annotation.quality.judgement import shared_votes, votes


def note_agreement(ranking: Ranking) -> None:
    """Anew after each ranking of work, in its transaction. Two that are stored at once queue here, so the later sees both."""
    task = held_tasks.first(ranking.task_id)
    if task is not None and (now := agreement_of(live_rankings(task.pk))) != task.agreement:
        noted(task.pk, now)


@prepared
def held_tasks(task: UUID) -> QuerySet[RankingTask]:
    held = RankingTask.objects.select_for_update(no_key=True).filter(pk=task, kind=TaskKind.WORK)
    return held.only("agreement").order_by()


@prepared
def live_rankings(task: UUID) -> QuerySet[Ranking]:
    return Ranking.objects.filter(task=task, is_live=True, cannot_rank="").only("tiers", "edit_id").order_by()


@prepared_update
def noted(task: UUID, agreement: float | None) -> Changes:
    return RankingTask.objects.filter(pk=task), {"agreement": agreement}


def note_agreements(tasks: Collection[Any]) -> None:
    """The same for many tasks whose rankings came together, within the transaction in which they came."""
    orders: defaultdict[Any, list[Ranking]] = defaultdict(list)
    for ranking in Ranking.objects.filter(task__in=tasks, is_live=True, cannot_rank=""):
        orders[ranking.task_id].append(ranking)
    changed = list(RankingTask.objects.filter(pk__in=orders, kind=TaskKind.WORK).only("agreement"))
    for task in changed:
        task.agreement = agreement_of(orders[task.pk])
    RankingTask.objects.bulk_update(changed, ["agreement"], batch_size=500)


def agreement_of(rankings: Iterable[Ranking]) -> float | None:
    """Of pairs of texts that two raters of one task both ordered, the share ordered alike; None where there is none."""
    orders = [votes(ranking.shown_tiers) for ranking in rankings]
    products = [one * other for first, second in combinations(orders, 2) for one, other in shared_votes(first, second)]
    told = [product for product in products if product]
    return told.count(1) / len(told) if told else None
