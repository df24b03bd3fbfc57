"""People's judgement: campaigns of prompts, K completions a task, slots leased to raters, weak orders that come back."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from registry.models import DatasetVersion, ModelVersion


class CampaignState(models.TextChoices):
    DRAFT = "draft", "Draft"
    OPEN = "open", "Open"
    PAUSED = "paused", "Paused"
    CLOSED = "closed", "Closed"


CAMPAIGN_TRANSITIONS: dict[str, frozenset[str]] = {
    CampaignState.DRAFT: frozenset({CampaignState.OPEN, CampaignState.CLOSED}),
    CampaignState.OPEN: frozenset({CampaignState.PAUSED, CampaignState.CLOSED}),
    CampaignState.PAUSED: frozenset({CampaignState.OPEN, CampaignState.CLOSED}),
    CampaignState.CLOSED: frozenset({CampaignState.OPEN}),
}


class Campaign(models.Model):
    """Prompts, a guideline, K completions a prompt, how many raters rank each, and who they are."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=120, unique=True)
    state = models.CharField(max_length=16, choices=CampaignState, default=CampaignState.DRAFT)
    k = models.PositiveSmallIntegerField(default=4)
    overlap = models.PositiveSmallIntegerField(default=1)  # rankings wanted a task
    lease_minutes = models.PositiveSmallIntegerField(default=20)
    attributes = models.JSONField(default=list, blank=True)  # scales to rate each text on: annotation.attributes
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
            models.CheckConstraint(condition=models.Q(lease_minutes__gte=1), name="campaign_lease_is_a_minute_or_more"),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A rater of a campaign. A removed one keeps her rankings and gets no more work."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["campaign", "user"], name="one_membership_a_campaign")]


class Guideline(models.Model):
    """One version of a campaign's guideline, in Markdown; kept for ever, since rankings name it."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="guidelines")
    number = models.PositiveIntegerField()
    text = models.TextField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["campaign", "number"], name="one_guideline_of_a_number")
        ]


class Split(models.TextChoices):
    TRAIN = "train", "Train"
    TEST = "test", "Held out"


class Prompt(models.Model):
    """A conversation that ends with a user's turn. Its split follows from its content, so that it is the same everywhere."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="prompts")
    messages = models.JSONField()  # [{"role": "user" | "assistant" | "system", "content": text}, ...]
    content_hash = models.CharField(max_length=64)
    split = models.CharField(max_length=8, choices=Split, default=Split.TRAIN)
    external_id = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["campaign", "content_hash"], name="one_prompt_of_a_content_in_a_campaign")
        ]


class Completion(models.Model):
    """One response to a prompt, by a model or by a person. Never changed; who made it is never shown to raters.

    With a `parent` it is a rater's better version of that one: it stands in the ranking that it came with, and in no task.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="completions")
    text = models.TextField()
    model = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="completions")
    model_label = models.CharField(max_length=120, blank=True)  # of an imported completion, whose model isn't here
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="edits")  # that this betters
    sampling = models.JSONField(default=dict)  # seed, temperature, top_p, ended, num_tokens, logprob
    dataset = models.ForeignKey(DatasetVersion, null=True, on_delete=models.PROTECT, related_name="completions")
    external_id = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(parent__isnull=True) | models.Q(author__isnull=False, model__isnull=True),
                name="a_better_version_is_by_a_person",
            )
        ]


class RankingTask(models.Model):
    """A prompt with its K completions, to be ranked by `overlap` people: one `Slot` each."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="tasks")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="tasks")
    completions = models.ManyToManyField(Completion, through="TaskCompletion", related_name="tasks")
    priority = models.PositiveSmallIntegerField(default=50)  # smaller goes first
    is_gold = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["priority", "created_at", "pk"]


class TaskCompletion(models.Model):
    task = models.ForeignKey(RankingTask, on_delete=models.CASCADE, related_name="entries")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT)
    index = models.PositiveSmallIntegerField()

    class Meta:
        ordering: ClassVar = ["task", "index"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "index"], name="one_completion_at_an_index"),
            models.UniqueConstraint(fields=["task", "completion"], name="a_completion_once_in_a_task"),
        ]


class Slot(models.Model):
    """One of a task's `overlap` places. Live leases and rankings sit on slots, so they can never be more than there are.

    `is_free` and `order_key` let "next" walk one index; a slot is taken by a conditional UPDATE of `is_free`.
    """

    task = models.ForeignKey(RankingTask, on_delete=models.CASCADE, related_name="slots")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="slots")
    number = models.PositiveSmallIntegerField()
    is_free = models.BooleanField(default=True)
    order_key = models.BigIntegerField()  # priority first, then a stored shuffle, so that tasks don't come in groups

    class Meta:
        ordering: ClassVar = ["order_key", "pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["task", "number"], name="one_slot_of_a_number")]
        indexes: ClassVar = [
            models.Index(
                fields=["campaign", "order_key", "id"], condition=models.Q(is_free=True), name="free_slots_in_order"
            )
        ]


class AssignmentState(models.TextChoices):
    LIVE = "live", "Live"
    DONE = "done", "Done"
    EXPIRED = "expired", "Expired"
    SKIPPED = "skipped", "Skipped"
    SURPLUS = "surplus", "Surplus"  # ranked after the lease was gone and the slot given away: kept, outside the overlap


ASSIGNMENT_TRANSITIONS: dict[str, frozenset[str]] = {
    AssignmentState.LIVE: frozenset({AssignmentState.DONE, AssignmentState.EXPIRED, AssignmentState.SKIPPED}),
    AssignmentState.EXPIRED: frozenset({AssignmentState.DONE, AssignmentState.SURPLUS, AssignmentState.SKIPPED}),
    AssignmentState.DONE: frozenset(),
    AssignmentState.SKIPPED: frozenset(),
    AssignmentState.SURPLUS: frozenset(),
}
HOLDS_SLOT = (AssignmentState.LIVE, AssignmentState.DONE)


class Assignment(models.Model):
    """A slot leased to one rater until a time, with the order in which she sees the completions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slot = models.ForeignKey(Slot, on_delete=models.CASCADE, related_name="assignments")
    task = models.ForeignKey(RankingTask, on_delete=models.CASCADE, related_name="assignments")
    rater = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="assignments")
    state = models.CharField(max_length=16, choices=AssignmentState, default=AssignmentState.LIVE)
    order = models.JSONField()  # completion ids, as shown: the first is letter A
    guideline = models.ForeignKey(Guideline, null=True, on_delete=models.PROTECT, related_name="+")
    leased_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=200, blank=True)
    draft = models.JSONField(null=True)
    draft_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-leased_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["slot"], condition=models.Q(state__in=HOLDS_SLOT), name="a_slot_is_held_once"
            ),
            models.UniqueConstraint(
                fields=["task", "rater"], condition=models.Q(state__in=HOLDS_SLOT), name="a_task_once_a_rater"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["lease_until"], condition=models.Q(state="live"), name="live_leases_by_end"),
            models.Index(fields=["rater", "state", "-leased_at"], name="assignments_of_a_rater"),
            models.Index(fields=["rater", "task", "state"], name="what_a_rater_has_seen"),  # asked of each free slot
        ]

    def letters(self) -> dict[str, str]:
        """Letter -> completion id, as this rater sees them."""
        return {chr(ord("a") + i): completion for i, completion in enumerate(self.order)}


class CannotRank(models.TextChoices):
    """Why a task cannot be ranked: reasons that lie in the task. A rater who can't judge it herself skips it."""

    UNCLEAR = "unclear", "the request can't be understood"
    BROKEN = "broken", "the texts are broken or empty"
    OUTSIDE = "outside", "the guideline does not cover it"
    OTHER = "other", "another reason"


class Ranking(models.Model):
    """One rater's weak order of a task, or why there is none. Nothing is overwritten: a correction is a row that supersedes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client_uuid = models.UUIDField(unique=True)  # made in the browser when the task is shown: a replay finds its row
    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="rankings")
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
    guideline = models.ForeignKey(Guideline, null=True, on_delete=models.PROTECT, related_name="+")
    is_simulated = models.BooleanField(default=False)
    is_live = models.BooleanField(default=True)  # false once superseded or withdrawn
    supersedes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="superseded_by")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["assignment"], condition=models.Q(is_live=True), name="one_live_ranking_an_assignment"
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
