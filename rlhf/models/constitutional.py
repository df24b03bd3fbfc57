"""A constitutional run: the stages of Constitutional AI in their order, with a gate for people in their middle."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models import Campaign
from registry.models import DatasetVersion, ModelVersion
from runs.models import Run


class CaiState(models.TextChoices):
    """Where it stands between its people's decisions; how far the work is, its runs say themselves."""

    FEEDBACK = "feedback", _("Before the gate")  # answers are revised, learned, compared; people rank the blind overlap
    LEARNING = "learning", _("Through the gate")
    CLOSED = "closed", _("Closed")  # a person ended it at the gate


CAI_TRANSITIONS: dict[str, frozenset[str]] = {
    CaiState.FEEDBACK: frozenset({CaiState.LEARNING, CaiState.CLOSED}),
    CaiState.LEARNING: frozenset(),
    CaiState.CLOSED: frozenset(),
}


class CaiStage(models.TextChoices):
    CHAINS = "chains", _("Critique and revision")
    SFT = "sft", _("SFT on revisions")
    PAIRS = "pairs", _("Pairs of its answers")
    JUDGE = "judge", _("AI feedback")
    REWARD = "reward", _("Preference model")
    POLICY = "policy", _("Policy")
    ANSWERS_BEFORE = "answers_before", _("Answers before")
    ANSWERS_SFT = "answers_sft", _("Answers after SFT")
    ANSWERS_POLICY = "answers_policy", _("Answers of the policy")
    COMPARE = "compare", _("Compare the policy with where it started")
    SCORES = "scores", _("Rewards of all answers")


class ConstitutionalRun(models.Model):
    """What is aligned with which constitution, on which prompts, and what was planned for each stage."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    state = models.CharField(max_length=16, choices=CaiState, default=CaiState.FEEDBACK)
    constitution = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="constitutional_runs")
    model = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="constitutional_runs"
    )  # the helpful one
    feedback = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )  # none: the SFT'd one
    red_team = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="+")
    helpful = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="+")
    human = models.ForeignKey(DatasetVersion, null=True, on_delete=models.PROTECT, related_name="+")  # of helpfulness
    campaign = models.OneToOneField(Campaign, on_delete=models.PROTECT, related_name="constitutional_run")
    preferences = models.ForeignKey(DatasetVersion, null=True, on_delete=models.PROTECT, related_name="+")  # of the mix
    votes = models.OneToOneField(  # where people compare the models before and after, blind
        Campaign, null=True, on_delete=models.PROTECT, related_name="votes_of"
    )
    people_alone = models.BooleanField(default=False)  # decided at the gate: none of the feedback is learned
    plan = models.JSONField(default=dict)  # rlhf.services.constitutional.plan.Plan
    gate = models.JSONField(default=dict)  # rlhf.services.constitutional.gate_figures.GateFigures, once decided
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state=CaiState.LEARNING, preferences__isnull=False)
                | (~models.Q(state=CaiState.LEARNING) & models.Q(preferences__isnull=True)),
                name="preferences_are_frozen_at_the_gate",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ConstitutionalStage(models.Model):
    constitutional = models.ForeignKey(ConstitutionalRun, on_delete=models.CASCADE, related_name="stages")
    stage = models.CharField(max_length=16, choices=CaiStage)
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="constitutional_stage")

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["constitutional", "stage"], name="one_run_a_constitutional_stage")
        ]
