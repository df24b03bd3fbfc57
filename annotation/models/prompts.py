"""Prompts, and the completions that models and people wrote to them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.campaigns import Campaign
from registry.models import DatasetVersion, ModelVersion


class Split(models.TextChoices):
    TRAIN = "train", _("Train")
    TEST = "test", _("Held out")


class Prompt(models.Model):
    """A conversation that ends with a user's turn. Its split follows from its content, so that it is the same everywhere;
    who brings a prompt may hold it out besides, but never take it to train on where its content holds it out.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="prompts")
    messages = models.JSONField()  # [{"role": "user" | "assistant" | "system", "content": text}, ...]
    content_hash = models.CharField(max_length=64)
    split = models.CharField(max_length=8, choices=Split, default=Split.TRAIN)
    external_id = models.CharField(max_length=120, blank=True)
    kind = models.CharField(max_length=40, blank=True)  # such as "code" or "advice": agreement is told by it
    is_check = models.BooleanField(default=False)  # came with its right order: no model answers it, nothing counts it
    language = models.CharField(max_length=3, blank=True)  # BCP 47 primary tag; only who has it is given its tasks
    skill = models.CharField(max_length=30, blank=True)  # likewise
    priority = models.PositiveSmallIntegerField(default=50)  # of the tasks that are made of it
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
