"""Tasks: a prompt with K completions, and the slots that raters take."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.campaigns import Campaign
from annotation.models.prompts import Completion, Prompt
from annotation.models.queues import Queue


class TaskKind(models.TextChoices):
    """What a task is for. Only rankings of work are frozen, counted as progress, and compared between raters."""

    WORK = "work", _("Work")
    GOLD = "gold", _("Gold")  # its right order is known: how near a rater comes to it is a measure of her
    REPEAT = "repeat", _("Repeat")  # the texts of a task that she has ranked, once more: does she agree with herself?
    TEST = "test", _("Qualification test")


class RankingTask(models.Model):
    """A prompt with its K completions, to be ranked by `overlap` people: one `Slot` each. No rater learns its kind."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="tasks")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="tasks")
    completions = models.ManyToManyField(Completion, through="TaskCompletion", related_name="tasks")
    priority = models.PositiveSmallIntegerField(default=50)  # smaller goes first
    kind = models.CharField(max_length=8, choices=TaskKind, default=TaskKind.WORK)
    repeats = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="repeated_by")
    agreement = models.FloatField(null=True)  # of pairs that two raters ordered, the share alike; written with rankings
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["priority", "created_at", "pk"]
        indexes: ClassVar = [
            models.Index(
                fields=["agreement", "id"],
                condition=models.Q(kind=TaskKind.WORK, agreement__isnull=False),
                name="tasks_by_disagreement",
            )
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(kind=TaskKind.REPEAT, repeats__isnull=False)
                | (~models.Q(kind=TaskKind.REPEAT) & models.Q(repeats__isnull=True)),
                name="a_repeat_says_of_what",
            )
        ]


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

    `is_free` and `order_key` let "next" walk one index; a slot is taken by a conditional UPDATE of `is_free`. One that is
    reserved stands in no queue.
    """

    task = models.ForeignKey(RankingTask, on_delete=models.CASCADE, related_name="slots")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="slots")
    queue = models.ForeignKey(Queue, null=True, on_delete=models.CASCADE, related_name="slots")
    number = models.PositiveSmallIntegerField()
    is_free = models.BooleanField(default=True)
    # Priority first, then a stored shuffle, so that tasks don't come in groups; of a reserved slot, the place in her stream.
    order_key = models.BigIntegerField()
    turn = models.BigIntegerField(default=0)  # the queue's when it last came back
    reserved_for = models.ForeignKey(  # nobody else gets it: gold, repeats and tests are laid out for one rater
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="reserved_slots"
    )

    class Meta:
        ordering: ClassVar = ["order_key", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "number"], name="one_slot_of_a_number"),
            models.CheckConstraint(
                condition=models.Q(queue__isnull=False) | models.Q(reserved_for__isnull=False),
                name="a_slot_is_queued_or_reserved",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["queue", "order_key", "id"],
                condition=models.Q(is_free=True, reserved_for__isnull=True),
                name="free_slots_in_order",
            ),
            models.Index(
                fields=["queue", "turn", "order_key"],
                condition=models.Q(is_free=True, reserved_for__isnull=True, turn__gt=0),
                name="free_slots_that_came_back",
            ),
            models.Index(
                fields=["reserved_for", "campaign", "order_key"],
                condition=models.Q(is_free=True, reserved_for__isnull=False),
                name="free_slots_of_a_rater",
            ),
        ]
