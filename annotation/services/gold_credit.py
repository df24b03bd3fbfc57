"""Raters' credit on gold, the same figure wherever it is told: first answers, without gold that was retired."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext_noop

from annotation.models import Campaign, Ranking, TaskKind
from annotation.quality.gold import credit_over_answers
from annotation.quality.judgement import Measure, Order, undefined

NO_GOLD = gettext_noop("No gold task was answered here.")  # kept in English, and said in the reader's language


def credit_on_gold(answers: Iterable[tuple[Order, Order]]) -> Measure:
    """The mean over pairs of texts of (what was said, the right order); `num` counts the pairs."""
    found = list(answers)
    return credit_over_answers(found) if found else undefined(NO_GOLD)


def first_answers(campaign: Campaign) -> QuerySet[Ranking]:
    """A correction does not undo a first answer."""
    gold = Ranking.objects.filter(task__campaign=campaign, task__kind=TaskKind.GOLD, supersedes=None)
    return gold.filter(task__gold__isnull=False).order_by()


def gold_credits(campaign: Campaign) -> dict[str, Measure]:
    """By name, of everybody who answered gold here; one query."""
    told = first_answers(campaign).filter(task__gold__retired_at=None)
    answers: defaultdict[str, list[tuple[Order, Order]]] = defaultdict(list)
    for rater, tiers, edit, expected in told.values_list("rater__username", "tiers", "edit", "task__gold__tiers"):
        answers[rater].append((tiers[1:] if edit else tiers, expected))
    return {rater: credit_on_gold(found) for rater, found in answers.items()}


def gold_state(campaign: Campaign) -> str:
    """Changes with every answer to gold, and with every answered gold that is retired."""
    retired = Count("pk", filter=Q(task__gold__retired_at__isnull=False))
    told = first_answers(campaign).aggregate(num=Count("pk"), retired=retired)
    return f"{told['num']}:{told['retired']}"
