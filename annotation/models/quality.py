"""Quality of judgement: a campaign's plan, right orders, how raters' standing changed and why, and appeals."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.campaigns import Campaign, Membership, Standing
from annotation.models.tasks import RankingTask
from annotation.quality.sentences import said

FEWEST_TESTS = 4  # with fewer, not even a faultless test would tell a rater from one who guesses (Wilson, 95 %)


class QualityPlan(models.Model):
    """What of a rater's stream is a check, what she must show before she ranks, and when she is paused.

    A campaign without a plan checks nobody. Shares are of all tasks that she gets.
    """

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="quality_plan")
    gold_share = models.FloatField(default=0.1)
    repeat_share = models.FloatField(default=0.05)
    repeat_after = models.PositiveSmallIntegerField(default=10)  # tasks at least between a task and its repeat
    num_tests = models.PositiveSmallIntegerField(default=0)  # before she ranks; 0: no test
    pass_mark = models.FloatField(default=0.75)  # of the pairs, ordered as expected
    floor = models.FloatField(
        default=0.63
    )  # the credit that counts as honest: quality.sequential says where it is from
    false_alarm = models.FloatField(default=0.01)  # the chance that an honest rater is ever paused by the checks
    shows_agreement = models.BooleanField(default=False)  # to raters: their own agreement with the others

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(
                    gold_share__gte=0,
                    gold_share__lte=0.5,
                    repeat_share__gte=0,
                    repeat_share__lte=0.5,
                    repeat_after__gte=1,
                ),
                name="checks_are_at_most_half_of_the_tasks_each",
            ),
            models.CheckConstraint(
                condition=models.Q(num_tests=0) | models.Q(num_tests__gte=FEWEST_TESTS, num_tests__lte=100),
                name="a_test_has_4_to_100_tasks",
            ),
            models.CheckConstraint(
                condition=models.Q(pass_mark__gt=0.5, pass_mark__lte=1, floor__gt=0.5, floor__lt=1),
                name="marks_are_above_guessing",
            ),
            models.CheckConstraint(
                condition=models.Q(false_alarm__gt=0, false_alarm__lte=0.2), name="false_alarms_are_bounded"
            ),
        ]


class GoldAnswer(models.Model):
    """The right order of a gold or test task, and why. A retired one is given to nobody, and counts for nobody."""

    task = models.OneToOneField(RankingTask, on_delete=models.CASCADE, related_name="gold")
    tiers = models.JSONField()  # [[completion id, ...], ...], best tier first
    explanation = models.TextField(blank=True)
    source = models.ForeignKey(  # the work that it was made of: who has ranked that is not asked again
        RankingTask, null=True, on_delete=models.SET_NULL, related_name="golds"
    )
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)


class Cause(models.TextChoices):
    """Why a standing changed."""

    TEST = "test", _("Qualification test")
    CHECKS = "checks", _("Checks")
    HAND = "hand", _("By hand")
    APPEAL = "appeal", _("Appeal")


STANDING_TRANSITIONS: dict[str, frozenset[str]] = {
    Standing.TRUSTED: frozenset({Standing.PAUSED}),
    Standing.TESTED: frozenset({Standing.TRUSTED, Standing.FAILED, Standing.PAUSED}),
    Standing.FAILED: frozenset({Standing.TESTED}),
    Standing.PAUSED: frozenset({Standing.TRUSTED, Standing.TESTED}),
}


class StandingChange(models.Model):
    """One change of a rater's standing, with its reason in words; never changed.

    `kept_reason` is in the words of whoever changed it, or an English sentence of `annotation.quality.sentences`.
    """

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="changes")
    before = models.CharField(max_length=8, choices=Standing)
    after = models.CharField(max_length=8, choices=Standing)
    cause = models.CharField(max_length=8, choices=Cause)
    kept_reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(after=Standing.PAUSED) | ~models.Q(kept_reason=""), name="a_pause_says_why"
            )
        ]

    @property
    def reason(self) -> str:
        """In the reader's language where the product gave it; a person's own words as they are."""
        return said(self.kept_reason) if self.cause in (Cause.TEST, Cause.CHECKS) else self.kept_reason


class AppealState(models.TextChoices):
    OPEN = "open", _("Open")
    LIFTED = "lifted", _("Lifted")
    UPHELD = "upheld", _("Upheld")


class Appeal(models.Model):
    """A paused rater's words against it, once a pause, and what a reviewer decided."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pause = models.OneToOneField(StandingChange, on_delete=models.CASCADE, related_name="appeal")
    words = models.TextField()
    state = models.CharField(max_length=8, choices=AppealState, default=AppealState.OPEN)
    answer = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=models.Q(state="open"), name="open_appeals_by_age")
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state=AppealState.OPEN, decided_at__isnull=True)
                | (~models.Q(state=AppealState.OPEN) & models.Q(decided_at__isnull=False)),
                name="a_decided_appeal_says_when",
            )
        ]


def plan_of(campaign: Campaign) -> QualityPlan | None:
    found: QualityPlan | None = QualityPlan.objects.filter(campaign=campaign).first()
    return found


def as_facts(plan: QualityPlan) -> dict[str, Any]:
    """What the audit trail keeps of a plan."""
    names = [field.name for field in QualityPlan._meta.fields if field.name not in ("id", "campaign")]
    return {name: getattr(plan, name) for name in names}
