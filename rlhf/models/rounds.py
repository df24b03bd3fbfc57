"""One turn of the loop: rankings frozen, models trained on them, compared, and promoted or not by a person."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Campaign
from registry.models import DatasetVersion, ModelVersion
from runs.models import Run


class RoundState(models.TextChoices):
    """What a person decided; how far the work is, the round's runs say themselves."""

    OPEN = "open", _("Open")
    PROMOTED = "promoted", _("Promoted")
    DECLINED = "declined", _("Declined")


class Stage(models.TextChoices):
    REWARD = "reward", _("Reward model")
    DPO = "dpo", "DPO"
    PPO = "ppo", "PPO"
    EVALUATE_DPO = "evaluate_dpo", _("Compare DPO with the SFT model")
    EVALUATE_PPO = "evaluate_ppo", _("Compare PPO with the SFT model")


class Round(models.Model):
    """Snapshot -> reward model -> policies -> evaluations -> a person's gate."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=RoundState, default=RoundState.OPEN)
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="rounds")  # where policies start
    preferences = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="rounds")
    prompts = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="+")
    promoted = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["campaign", "number"], name="one_round_of_a_number")]

    def __str__(self) -> str:
        return gettext("%(campaign)s, round %(number)s") % {"campaign": self.campaign.name, "number": self.number}


class RoundRun(models.Model):
    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="stages")
    stage = models.CharField(max_length=16, choices=Stage)
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="stage")

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["round", "stage"], name="one_run_a_stage")]
