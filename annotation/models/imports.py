"""Files that were brought to a campaign: checked by a dry run, then imported or let go."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.campaigns import Campaign


class ImportState(models.TextChoices):
    CHECKED = "checked", _("Waits for your word")
    DONE = "done", _("Imported")
    DROPPED = "dropped", _("Let go")


class Import(models.Model):
    """One file on its way in. It lies in the folder of uploads under this row's id until it is imported or let go."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="imports")
    state = models.CharField(max_length=16, choices=ImportState, default=ImportState.CHECKED)
    file_name = models.CharField(max_length=120)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()  # bytes
    format = models.CharField(max_length=32)
    is_simulated = models.BooleanField(default=False)  # its rankings were made by programs
    report = (
        models.JSONField()
    )  # of the dry run, and of the import once it is done: annotation.importing.bringing.Report
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
