"""What reviewers say: the settled order of a task, and remarks to raters about their rankings."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models

from annotation.models.rankings import Ranking
from annotation.models.tasks import RankingTask


class Adjudication(models.Model):
    """The order of a task that a reviewer settled. A snapshot takes it in place of all rankings of that task.

    Nothing is overwritten: settling anew is a row that supersedes, and unsettling leaves none live.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.ForeignKey(RankingTask, on_delete=models.PROTECT, related_name="adjudications")
    tiers = models.JSONField()  # as in a ranking
    strengths = models.JSONField(default=list)
    unranked = models.JSONField(default=list)
    reason = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    is_live = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["task"], condition=models.Q(is_live=True), name="one_live_adjudication_a_task"
            ),
            models.CheckConstraint(condition=~models.Q(tiers=[]), name="an_adjudication_is_an_order"),
        ]


class Remark(models.Model):
    """A reviewer's words to a rater about one ranking. One that returns it asks her to correct it, which closes it."""

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="remarks")
    words = models.TextField()
    returns = models.BooleanField(default=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        constraints: ClassVar = [models.CheckConstraint(condition=~models.Q(words=""), name="a_remark_says_something")]
