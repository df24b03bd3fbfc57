"""What runs make and take: artifacts on disk, models and datasets by version, moving names for them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class ArtifactKind(models.TextChoices):
    MODEL = "model", _("Model")
    TOKENIZER = "tokenizer", _("Tokenizer")
    DATASET = "dataset", _("Dataset")
    REPORT = "report", _("Report")
    UPLOAD = "upload", _("Upload")


class ModelRole(models.TextChoices):
    BASE = "base", _("Base model")
    SFT = "sft", _("SFT model")
    REWARD = "reward", _("Reward model")
    POLICY = "policy", _("Policy")
    MASKED = "masked", _("Masked language model")  # fills in gaps
    TASK = "task", _("Task model")  # a head that labels or finds


SILENT = frozenset({ModelRole.REWARD.value, ModelRole.MASKED.value, ModelRole.TASK.value})  # write nothing


class DatasetKind(models.TextChoices):
    CORPUS = "corpus", _("Corpus")
    INSTRUCTIONS = "instructions", _("Instructions")
    LABELLED = "labelled", _("Labelled")
    PROMPTS = "prompts", _("Prompts")
    COMPLETIONS = "completions", _("Completions")
    PREFERENCE = "preference", _("Preference")
    CONSTITUTION = "constitution", _("Constitution")


class Artifact(models.Model):
    """A folder in the artifact store, immutable, named by the hash of its files. Its path is made by us, never by a user."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=ArtifactKind)
    sha256 = models.CharField(max_length=64, db_index=True)
    files = models.JSONField(default=dict)  # relative path -> sha256
    size = models.BigIntegerField(default=0)  # bytes
    metrics = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(kind__in=ArtifactKind.values), name="artifact_has_a_known_kind")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.sha256[:12]}"

    @property
    def folder(self) -> Path:
        return Path(settings.ARTIFACTS_DIR) / str(self.id)


class ModelVersion(models.Model):
    """Weights with their tokenizer, where they come from and what they are for. Never changed once made."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    role = models.CharField(max_length=16, choices=ModelRole)
    artifact = models.OneToOneField(Artifact, on_delete=models.PROTECT, related_name="model")
    base = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="adapters")
    parents = models.ManyToManyField("self", symmetrical=False, related_name="children", blank=True)
    datasets: models.ManyToManyField[DatasetVersion, Any] = models.ManyToManyField(
        "DatasetVersion", related_name="models", blank=True
    )
    run = models.UUIDField(
        null=True, blank=True, db_index=True
    )  # the run that made it; runs know this app, not the reverse
    method = models.CharField(max_length=32, blank=True)
    num_parameters = models.BigIntegerField(default=0)
    card = models.TextField(blank=True)
    is_simulated = models.BooleanField(default=False)  # learned from what programs judged: simulated raters, rules
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(role__in=ModelRole.values), name="model_has_a_known_role"),
            models.CheckConstraint(condition=~models.Q(base=models.F("id")), name="model_is_not_its_own_base"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_adapter(self) -> bool:
        return self.base_id is not None

    def below(self) -> list[ModelVersion]:
        """What an adapter stands on, lowest first: a full model, then the adapters that were trained on it in turn.

        An adapter's base may be an adapter, so one of DPO on one of SFT is two of them on one base.
        """
        found: list[ModelVersion] = []
        model = self.base
        while model is not None:
            found.insert(0, model)
            model = model.base
        return found


class DatasetVersion(models.Model):
    """Frozen rows with their card. The same rows have the same `rows_sha256`, whoever froze them and wherever."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=16, choices=DatasetKind)
    artifact = models.OneToOneField(Artifact, on_delete=models.PROTECT, related_name="dataset")
    rows_sha256 = models.CharField(max_length=64, db_index=True)  # over canonical rows, not over Parquet bytes
    num_rows = models.BigIntegerField(default=0)
    splits = models.JSONField(default=dict)  # split -> rows
    query = models.JSONField(default=dict)  # how it was made: campaign, filters, ranking ids' range ...
    parents = models.ManyToManyField("self", symmetrical=False, related_name="children", blank=True)
    models_used = models.ManyToManyField(ModelVersion, related_name="datasets_made", blank=True)
    run = models.UUIDField(null=True, blank=True, db_index=True)
    licence = models.CharField(max_length=64, blank=True)
    card = models.TextField(blank=True)
    is_simulated = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(kind__in=DatasetKind.values), name="dataset_has_a_known_kind")
        ]

    def __str__(self) -> str:
        return self.name


class DatasetProfile(models.Model):
    """What is in rows, by their hash: a function of the rows, so it holds for each dataset that has the same ones."""

    rows_sha256 = models.CharField(max_length=64, unique=True)
    artifact = models.OneToOneField(Artifact, on_delete=models.PROTECT, related_name="profile")  # a report
    run = models.UUIDField()
    made_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"profile of {self.rows_sha256[:12]}"


class Alias(models.Model):
    """A moving name for a model, such as `sft/current`. Each move is audited, and is a conditional update."""

    name = models.CharField(max_length=64, unique=True)
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="aliases")
    moved_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
