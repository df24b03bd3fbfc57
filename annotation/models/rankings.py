"""Rankings: the weak orders that come back."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.assignments import Assignment
from annotation.models.campaigns import Guideline
from annotation.models.prompts import Completion
from annotation.models.tasks import RankingTask


class CannotRank(models.TextChoices):
    """Why a task cannot be ranked: reasons that lie in the task. A rater who can't judge it herself skips it."""

    UNCLEAR = "unclear", _("the request can't be understood")
    BROKEN = "broken", _("the texts are broken or empty")
    OUTSIDE = "outside", _("the guideline does not cover it")
    OTHER = "other", _("another reason")


class PeoplesRankings(models.Manager["Ranking"]):
    """Without those of feedback models, which count nowhere unless they are asked for by `Ranking.with_ai`."""

    def get_queryset(self) -> models.QuerySet[Ranking]:
        return super().get_queryset().filter(is_ai=False)


class Ranking(models.Model):
    """One rater's weak order of a task, or why there is none. Nothing is overwritten: a correction is a row that supersedes.

    A feedback model's is marked, holds no slot, and says in `AIPreference` what it follows from.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client_uuid = models.UUIDField(unique=True)  # made in the browser when the task is shown: a replay finds its row
    assignment = models.ForeignKey(Assignment, null=True, on_delete=models.PROTECT, related_name="rankings")
    task = models.ForeignKey(RankingTask, on_delete=models.PROTECT, related_name="rankings")
    rater = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="rankings")
    tiers = models.JSONField()  # [[completion id, ...], ...], best tier first; ids in a tier are tied; `edit` leads
    strengths = models.JSONField(default=list)  # one of 1..4 for each gap between tiers
    unranked = models.JSONField(default=list)  # completion ids that were left out on purpose
    all_bad = models.BooleanField(default=False)
    cannot_rank = models.CharField(max_length=16, choices=CannotRank, blank=True)
    flags = models.JSONField(default=dict)  # completion id -> [flag, ...]
    ratings = models.JSONField(default=dict)  # completion id -> {attribute: level}
    edit = models.OneToOneField(Completion, null=True, on_delete=models.PROTECT, related_name="bettered_in")
    reason = models.TextField(blank=True)
    seconds = models.FloatField(null=True)  # active time, told by the browser, capped by the age of the lease
    cost = models.BigIntegerField(default=0)  # ten-thousandths of the currency's unit: annotation.models.money
    num_characters = models.PositiveIntegerField(null=True)  # of the texts that were shown
    guideline = models.ForeignKey(Guideline, null=True, on_delete=models.PROTECT, related_name="+")
    is_simulated = models.BooleanField(default=False)
    is_ai = models.BooleanField(default=False)
    is_live = models.BooleanField(default=True)  # false once superseded or withdrawn
    supersedes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="superseded_by")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PeoplesRankings()
    with_ai = models.Manager["Ranking"]()

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["assignment"], condition=models.Q(is_live=True), name="one_live_ranking_an_assignment"
            ),
            models.UniqueConstraint(
                fields=["task", "rater"],
                condition=models.Q(is_ai=True, is_live=True),
                name="one_live_ai_ranking_a_task",
            ),
            models.CheckConstraint(
                condition=models.Q(is_ai=False, assignment__isnull=False)
                | models.Q(is_ai=True, assignment__isnull=True, is_simulated=False),
                name="people_rank_by_assignment_and_ai_without",
            ),
            models.CheckConstraint(
                condition=(models.Q(cannot_rank="") & ~models.Q(tiers=[]))
                | models.Q(
                    cannot_rank__in=CannotRank.values,
                    tiers=[],
                    strengths=[],
                    unranked=[],
                    all_bad=False,
                    edit__isnull=True,
                ),
                name="an_order_or_why_there_is_none",
            ),
            models.CheckConstraint(
                condition=~models.Q(cannot_rank=CannotRank.OTHER) | ~models.Q(reason=""),
                name="another_reason_is_written",
            ),
        ]

    @property
    def own_assignment(self) -> Assignment:
        """Of a person's ranking: those of feedback models have none."""
        assert self.assignment is not None
        return self.assignment

    @property
    def shown_tiers(self) -> list[list[str]]:
        """The order of the texts that the rater was shown: without her own better version, which leads the others."""
        tiers: list[list[str]] = self.tiers
        return tiers[1:] if self.edit_id else tiers

    @property
    def shown_strengths(self) -> list[int]:
        strengths: list[int] = self.strengths
        return strengths[1:] if self.edit_id else strengths

    @property
    def body(self) -> dict[str, Any]:
        """What was judged, apart from who and when: two submissions of one client uuid must agree in it."""
        edit = self.edit
        return {
            "tiers": self.shown_tiers, "strengths": self.shown_strengths, "unranked": self.unranked,
            "all_bad": self.all_bad, "cannot_rank": self.cannot_rank, "flags": self.flags, "ratings": self.ratings,
            "reason": self.reason, "edit": {"of": str(edit.parent_id), "text": edit.text} if edit else None,
        }  # fmt: skip
