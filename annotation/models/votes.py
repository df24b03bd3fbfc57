"""What a run asked people while it went on: one row a question, each of them one task at most."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from annotation.models.campaigns import Campaign
from annotation.models.tasks import RankingTask
from runs.models import Run


class RunQuestion(models.Model):
    """A prompt with a run's completions. Its id is the run's own, the same after any kill, so that none is asked twice.

    There is no task where all completions are one text: nothing is left to rank.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="questions")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="run_questions")
    number = models.PositiveIntegerField()  # of the rollout
    deadline_at = models.DateTimeField()  # rankings that come later are the campaign's, and no answer
    task = models.OneToOneField(RankingTask, null=True, on_delete=models.CASCADE, related_name="asked_by")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["run", "number", "pk"]
        indexes: ClassVar = [models.Index(fields=["run", "number"], name="questions_of_a_rollout")]
