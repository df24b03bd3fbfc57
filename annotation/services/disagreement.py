"""How far the raters of one task agree, kept beside it, so that a page can begin with those that agree least."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import combinations
from typing import Any

from annotation.models import Ranking, RankingTask, TaskKind
from annotation.quality.judgement import shared_votes, votes


def note_agreement(ranking: Ranking) -> None:
    """Anew after each ranking of work, in its transaction. Two that are stored at once queue here, so the later sees both."""
    held = RankingTask.objects.select_for_update(no_key=True).filter(pk=ranking.task_id, kind=TaskKind.WORK)
    task = held.only("agreement").first()
    if task is not None and (now := agreement_in(task.pk)) != task.agreement:
        RankingTask.objects.filter(pk=task.pk).update(agreement=now)


def note_agreements(tasks: Collection[Any]) -> None:
    """The same for many tasks whose rankings came together, within the transaction in which they came."""
    orders: defaultdict[Any, list[Ranking]] = defaultdict(list)
    for ranking in Ranking.objects.filter(task__in=tasks, is_live=True, cannot_rank=""):
        orders[ranking.task_id].append(ranking)
    changed = list(RankingTask.objects.filter(pk__in=orders, kind=TaskKind.WORK).only("agreement"))
    for task in changed:
        task.agreement = agreement_of(orders[task.pk])
    RankingTask.objects.bulk_update(changed, ["agreement"], batch_size=500)


def agreement_in(task: Any) -> float | None:
    return agreement_of(Ranking.objects.filter(task=task, is_live=True, cannot_rank="").only("tiers", "edit_id"))


def agreement_of(rankings: Iterable[Ranking]) -> float | None:
    """Of pairs of texts that two raters of one task both ordered, the share ordered alike; None where there is none."""
    orders = [votes(ranking.shown_tiers) for ranking in rankings]
    products = [one * other for first, second in combinations(orders, 2) for one, other in shared_votes(first, second)]
    told = [product for product in products if product]
    return told.count(1) / len(told) if told else None
