"""Queues: the free slots of a campaign that ask the same of a rater, and how far each rater has walked through them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from annotation.models.campaigns import Campaign


class Queue(models.Model):
    """What a campaign's tasks of one language and skill have in common; empty ones ask nothing.

    Two numbers let a rater's bookmark know what changed behind it. `epoch` rises when slots are made or moved, which
    makes every bookmark begin again. `turn` rises when single slots come back, which carry its number then. Whoever
    raises one holds this row until the commit, so a number that can be read is a number whose slots can be read.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="queues")
    language = models.CharField(max_length=3, blank=True)
    skill = models.CharField(max_length=30, blank=True)
    epoch = models.BigIntegerField(default=0)
    turn = models.BigIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["campaign", "language", "skill"], name="one_queue_of_a_language_and_skill")
        ]


class Bookmark(models.Model):
    """Every free slot of the queue before `order_key` whose turn is not after `turn` is of a task that this rater has seen.

    That holds while `epoch` is the queue's. Written under the lock of her membership.
    """

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="bookmarks")
    rater = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    epoch = models.BigIntegerField()
    order_key = models.BigIntegerField()
    turn = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["queue", "rater"], name="one_bookmark_a_queue")]
