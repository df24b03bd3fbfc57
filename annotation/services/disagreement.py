"""How far the raters of one task agree, kept beside it, so that a page can begin with those that agree least."""

from __future__ import annotations

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


def agreement_in(task: Any) -> float | None:
    """Of pairs of texts that two raters both ordered, the share ordered alike; None where there is none."""
    live = Ranking.objects.filter(task=task, is_live=True, cannot_rank="")
    orders = [votes(ranking.shown_tiers) for ranking in live]
    products = [one * other for first, second in combinations(orders, 2) for one, other in shared_votes(first, second)]
    told = [product for product in products if product]
    return told.count(1) / len(told) if told else None
