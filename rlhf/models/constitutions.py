"""Constitutions: lists of principles that a model is to judge and mend replies by, in versions that are frozen one by one."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from registry.models import DatasetVersion

MOST_WEIGHT = 1000


class VersionState(models.TextChoices):
    """A draft is written; once published it never changes, and the next change is the next version."""

    DRAFT = "draft", _("Draft")
    PUBLISHED = "published", _("Published")


class Constitution(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True)
    purpose = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name


class ConstitutionVersion(models.Model):
    """`edits` counts what was saved: who saves or publishes says which count she has seen, so that nothing is overwritten."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    constitution = models.ForeignKey(Constitution, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=VersionState, default=VersionState.DRAFT)
    note = models.TextField(blank=True)  # what changed
    edits = models.PositiveIntegerField(default=0)
    edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    edited_at = models.DateTimeField(auto_now_add=True)
    dataset = models.OneToOneField(DatasetVersion, null=True, on_delete=models.PROTECT, related_name="constitution")
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-number", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["constitution", "number"], name="one_version_of_a_number"),
            models.UniqueConstraint(
                fields=["constitution"],
                condition=models.Q(state=VersionState.DRAFT),
                name="at_most_one_draft_of_a_constitution",
            ),
            models.CheckConstraint(
                condition=models.Q(state=VersionState.DRAFT, dataset=None, published_at=None)
                | models.Q(state=VersionState.PUBLISHED, dataset__isnull=False, published_at__isnull=False),
                name="published_versions_alone_are_frozen",
            ),
        ]

    def __str__(self) -> str:
        return gettext("%(name)s, version %(number)s") % {"name": self.constitution.name, "number": self.number}

    @property
    def is_draft(self) -> bool:
        return self.state == VersionState.DRAFT


class Principle(models.Model):
    """One row of a version. Written by `services.constitutions` alone, which lets nobody touch those of a published one."""

    version = models.ForeignKey(ConstitutionVersion, on_delete=models.CASCADE, related_name="principles")
    position = models.PositiveIntegerField()
    slug = models.CharField(max_length=60)
    critique = models.TextField()  # request: what is wrong with this reply?
    revision = models.TextField()  # request: write it anew
    comparison = models.TextField()  # question: which of two replies is better?
    weight = models.FloatField(default=1.0)  # how often it is drawn, beside the others
    tags = models.JSONField(default=list)
    examples = models.JSONField(default=list)  # few-shot: {prompt, response, critique, revision}

    class Meta:
        ordering: ClassVar = ["position", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "position"], name="one_principle_at_a_place"),
            models.UniqueConstraint(fields=["version", "slug"], name="one_principle_of_a_name"),
            models.CheckConstraint(
                condition=models.Q(weight__gt=0, weight__lte=MOST_WEIGHT), name="principle_has_a_weight_above_0"
            ),
        ]

    def __str__(self) -> str:
        return self.slug
