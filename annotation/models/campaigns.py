"""Campaigns: what is ranked by how many, under which guideline, and who its raters are."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from annotation.models.quality import QualityPlan


class CampaignState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    OPEN = "open", _("Open")
    PAUSED = "paused", _("Paused")
    CLOSED = "closed", _("Closed")


CAMPAIGN_TRANSITIONS: dict[str, frozenset[str]] = {
    CampaignState.DRAFT: frozenset({CampaignState.OPEN, CampaignState.CLOSED}),
    CampaignState.OPEN: frozenset({CampaignState.PAUSED, CampaignState.CLOSED}),
    CampaignState.PAUSED: frozenset({CampaignState.OPEN, CampaignState.CLOSED}),
    CampaignState.CLOSED: frozenset({CampaignState.OPEN}),
}


class SkipMode(models.TextChoices):
    """What becomes of a task that a rater skips."""

    OTHERS = "others", _("It goes to others, and not back to her")
    LATER = "later", _("It comes back to her when nothing else waits, unless others took it")
    DONE = "done", _("Its place counts as done, and nobody is given it again")


class Campaign(models.Model):
    """Prompts, a guideline, K completions a prompt, how many raters rank each, and who they are."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=120, unique=True)
    state = models.CharField(max_length=16, choices=CampaignState, default=CampaignState.DRAFT)
    k = models.PositiveSmallIntegerField(default=4)
    overlap = models.PositiveSmallIntegerField(default=1)  # rankings wanted a task
    people_share = models.PositiveSmallIntegerField(
        default=100
    )  # percent of tasks for people; the rest waits for an AI
    ai_rule = models.JSONField(
        default=dict, blank=True
    )  # quality.ai_gate.Rule where another than the usual is asked for
    lease_minutes = models.PositiveSmallIntegerField(default=20)
    attributes = models.JSONField(default=list, blank=True)  # scales to rate each text on: annotation.attributes
    most_rankings = models.PositiveIntegerField(
        null=True, blank=True
    )  # by one rater; a membership may say another number
    skip_mode = models.CharField(max_length=8, choices=SkipMode, default=SkipMode.OTHERS)
    skip_needs_reason = models.BooleanField(default=False)
    extra_below = models.PositiveSmallIntegerField(
        null=True, blank=True
    )  # percent of agreement: one more rater below it
    extra_most = models.PositiveSmallIntegerField(null=True, blank=True)  # rankings a task, those extra ones included
    raters = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="campaigns")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(k__gte=2, k__lte=9), name="campaign_k_is_2_to_9"),
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1, overlap__lte=25), name="campaign_overlap_is_1_to_25"
            ),
            models.CheckConstraint(condition=models.Q(people_share__lte=100), name="people_share_is_0_to_100"),
            models.CheckConstraint(condition=models.Q(lease_minutes__gte=1), name="campaign_lease_is_a_minute_or_more"),
            models.CheckConstraint(
                condition=models.Q(extra_below=None, extra_most=None)
                | models.Q(
                    extra_below__gte=1,
                    extra_below__lte=100,
                    overlap__gte=2,
                    extra_most__gt=models.F("overlap"),
                    extra_most__lte=25,
                ),
                name="extra_raters_come_below_a_bound_up_to_a_maximum",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Standing(models.TextChoices):
    """How far a rater's judgement is trusted in a campaign."""

    TRUSTED = "trusted", _("Ranks")
    TESTED = "tested", _("Takes the qualification test")
    FAILED = "failed", _("Did not pass the test")
    PAUSED = "paused", _("Paused")  # by the sequential test or by an admin, with a reason; a reviewer hears an appeal


class Membership(models.Model):
    """A rater of a campaign. A removed one keeps her rankings and gets no more work, like one who is paused."""

    asked_at: datetime  # by the database's clock; asked for with the row by `services.leases.members` alone
    was_tested: bool  # judged by a test, whether she passed or not; asked for by `services.desk.members_of` alone

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    is_active = models.BooleanField(default=True)
    standing = models.CharField(max_length=8, choices=Standing, default=Standing.TRUSTED)
    planned_to = models.PositiveIntegerField(default=0)  # place in her stream of tasks up to which checks are laid out
    most_rankings = models.PositiveIntegerField(null=True, blank=True)  # in place of the campaign's
    group = models.CharField(
        max_length=40, blank=True, default=""
    )  # named by an admin, for whoever learns from the rankings; no rater is told
    num_ranked = models.PositiveIntegerField(default=0)  # her rankings here, of tasks of any kind, corrections aside
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["campaign", "user"], name="one_membership_a_campaign")]

    @property
    def plan(self) -> QualityPlan | None:
        """The campaign's, as it was when this row was read with it; None where it has none."""
        return getattr(self.campaign, "quality_plan", None)

    @property
    def num_left(self) -> int | None:
        """How many more tasks she may be given; None where there is no limit."""
        most = self.campaign.most_rankings if self.most_rankings is None else self.most_rankings
        return None if most is None else max(0, most - self.num_ranked)


class Guideline(models.Model):
    """One version of a campaign's guideline, in Markdown; kept for ever, since rankings name it."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="guidelines")
    number = models.PositiveIntegerField()
    text = models.TextField()
    examples = models.JSONField(default=list)  # worked ones: annotation.examples
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["campaign", "number"], name="one_guideline_of_a_number")
        ]


class GuidelineReading(models.Model):
    """That a rater has read a version, in her own word."""

    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="readings")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["guideline", "user"], name="a_version_is_read_once")]


class CampaignTally(models.Model):
    """What a large campaign came to when it was last counted: its pages count anew only after a while."""

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="tally")
    counts = models.JSONField()  # annotation.services.progress.Progress
    counted_at = models.DateTimeField()
