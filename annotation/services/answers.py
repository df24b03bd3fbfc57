"""Answers that a task cannot be ranked, for those who run the campaign: they mend the prompt, the guideline or the texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from annotation.models import Campaign, Ranking, TaskKind

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NotRanked:
    asked: str
    why: str
    reason: str
    rater: str
    is_simulated: bool
    at: datetime


def not_ranked_in(campaign: Campaign) -> list[NotRanked]:
    """The newest `MOST_SHOWN`."""
    live = Ranking.objects.filter(task__campaign=campaign, task__kind=TaskKind.WORK, is_live=True).exclude(
        cannot_rank=""
    )
    found = live.select_related("task__prompt", "rater").order_by("-created_at", "-pk")[:MOST_SHOWN]
    return [
        NotRanked(
            asked=answer.task.prompt.messages[-1]["content"], why=answer.get_cannot_rank_display(), reason=answer.reason,
            rater=answer.rater.username, is_simulated=answer.is_simulated, at=answer.created_at,
        )
        for answer in found
    ]  # fmt: skip
