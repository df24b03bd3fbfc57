"""What feedback models said of pairs of texts: beside the rankings that follow from it, with everything it was said from."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from annotation.models.prompts import Completion
from annotation.models.rankings import Ranking
from registry.models import DatasetVersion, ModelVersion
from runs.models import Run


class AIPreference(models.Model):
    """A feedback model's judgement of two texts of a task under one principle, asked in both orders.

    `ab` and `ba` are the probability that `first` is the better one, as told with `first` and with `second` in front; `p` is
    what the two come to.
    """

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="preferences")
    first = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    second = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+")
    critic = models.CharField(max_length=16)  # model, endpoint or rules
    model = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    constitution = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="+")
    principle = models.CharField(max_length=80)
    prompt_sha256 = models.CharField(max_length=64)  # of what was asked, word by word
    ab = models.FloatField()
    ba = models.FloatField()
    p = models.FloatField()
    is_flipped = models.BooleanField()  # the two orders name different winners
    is_abstained = models.BooleanField()  # too near a half: people decide

    class Meta:
        ordering: ClassVar = ["ranking", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ranking", "first", "second"], name="a_pair_once_in_an_ai_ranking"),
            models.CheckConstraint(
                condition=models.Q(ab__range=(0, 1), ba__range=(0, 1), p__range=(0, 1)),
                name="ai_preferences_are_probabilities",
            ),
            models.CheckConstraint(
                condition=~models.Q(first=models.F("second")), name="an_ai_preference_is_of_two_texts"
            ),
        ]
