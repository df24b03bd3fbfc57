"""Assignments: a slot leased to a rater until a time."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.campaigns import Guideline, Membership
from annotation.models.money import Tariff
from annotation.models.prompts import Completion
from annotation.models.tasks import RankingTask, Slot


class AssignmentState(models.TextChoices):
    LIVE = "live", _("Live")
    DONE = "done", _("Done")
    EXPIRED = "expired", _("Expired")
    SKIPPED = "skipped", _("Skipped")
    PASSED = "passed", _("Passed")  # skipped where that counts as done: the slot stays taken
    # Ranked after the lease was gone and the slot given away: kept, outside the overlap.
    SURPLUS = "surplus", _("Surplus")


ASSIGNMENT_TRANSITIONS: dict[str, frozenset[str]] = {
    AssignmentState.LIVE: frozenset(
        {AssignmentState.DONE, AssignmentState.EXPIRED, AssignmentState.SKIPPED, AssignmentState.PASSED}
    ),
    AssignmentState.EXPIRED: frozenset({AssignmentState.DONE, AssignmentState.SURPLUS, AssignmentState.SKIPPED}),
    AssignmentState.DONE: frozenset(),
    AssignmentState.SKIPPED: frozenset(),
    AssignmentState.PASSED: frozenset(),
    AssignmentState.SURPLUS: frozenset(),
}
HOLDS_SLOT = (AssignmentState.LIVE, AssignmentState.DONE, AssignmentState.PASSED)
SEEN = (*HOLDS_SLOT, AssignmentState.SKIPPED, AssignmentState.SURPLUS)  # of such a task she is given no other slot


class Assignment(models.Model):
    """A slot leased to one rater until a time, with the order in which she sees the completions."""

    # Hers in its campaign, none where she never was a rater there; set by `services.leases.own` alone.
    member: Membership | None

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slot = models.ForeignKey(Slot, on_delete=models.CASCADE, related_name="assignments")
    task = models.ForeignKey(RankingTask, on_delete=models.CASCADE, related_name="assignments")
    rater = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="assignments")
    state = models.CharField(max_length=16, choices=AssignmentState, default=AssignmentState.LIVE)
    order = models.JSONField()  # completion ids, as shown: the first is letter A
    guideline = models.ForeignKey(Guideline, null=True, on_delete=models.PROTECT, related_name="+")
    tariff = models.ForeignKey(Tariff, null=True, on_delete=models.PROTECT, related_name="+")  # its most is reserved
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
            models.Index(fields=["rater"], condition=models.Q(state="live"), name="live_leases_of_a_rater"),
            models.Index(fields=["rater", "state", "-leased_at"], name="assignments_of_a_rater"),
            models.Index(fields=["rater", "task", "state"], name="what_a_rater_has_seen"),  # asked of each free slot
        ]

    @cached_property
    def texts(self) -> dict[str, str]:
        """Completion id -> text, of all that she sees."""
        shown = Completion.objects.filter(pk__in=self.order).order_by()
        return {str(pk): text for pk, text in shown.values_list("pk", "text")}

    def letters(self) -> dict[str, str]:
        """Letter -> completion id, as this rater sees them."""
        return {chr(ord("a") + i): completion for i, completion in enumerate(self.order)}
