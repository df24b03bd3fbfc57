"""A run: one piece of work on a worker, and everything that it said. The row is the truth; a queue is only a doorbell."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from registry.models import Artifact


class RunState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


# The only changes of state there are. A lost worker's run goes back to the queue; a failed or cancelled one may be resumed.
TRANSITIONS: dict[str, frozenset[str]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.QUEUED}),
    RunState.FAILED: frozenset({RunState.QUEUED}),
    RunState.CANCELLED: frozenset({RunState.QUEUED}),
    RunState.SUCCEEDED: frozenset(),
}
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class Priority(models.IntegerChoices):
    """Smaller goes first: what people wait for goes before what machines wait for."""

    PEOPLE_WAIT = 10, _("People wait for it")
    NORMAL = 50, _("Normal")
    BACKGROUND = 90, _("Background")


class Run(models.Model):
    """One method, one frozen recipe, one chain of attempts.

    `fence` grows with every claim; a write by a worker names the fence that it claimed with and
    changes nothing once another has claimed since. `worker` and `lease_until` say who holds it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    method = models.CharField(max_length=32)
    title = models.CharField(max_length=200)
    recipe = models.JSONField()
    preset = models.CharField(max_length=32, blank=True)
    seed = models.PositiveBigIntegerField(default=0)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    output_name = models.CharField(max_length=120, blank=True)  # what the model or dataset that comes out is called
    context = models.JSONField(default=dict)  # what the starter needs back: {"campaign": ...}, {"round": ...}
    is_estimate = models.BooleanField(default=False)  # a probe of what the run would cost: it makes a report alone
    fingerprint = models.CharField(
        max_length=64, blank=True
    )  # of what is done to what: an estimate and its run share it

    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    fence = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)

    phase = models.CharField(max_length=32, blank=True)
    step = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    unit = models.CharField(max_length=16, blank=True)
    rate = models.FloatField(null=True)
    eta_s = models.FloatField(null=True)
    last_seq = models.PositiveBigIntegerField(default=0)  # of our events
    copied_seq = models.PositiveBigIntegerField(default=0)  # of the folder's events, as far as they were copied
    metrics = models.JSONField(default=dict)  # of the manifest, once it succeeded
    used = models.JSONField(
        default=dict
    )  # by its last attempt, however that ended: seconds, memory, gpu_memory in bytes

    failure_code = models.CharField(max_length=64, blank=True)
    failure = models.CharField(max_length=1000, blank=True)  # one sentence for a person
    advice = models.CharField(max_length=1000, blank=True)

    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["state", "priority", "queued_at"], name="run_next_in_the_queue"),
            models.Index(fields=["state", "lease_until"], name="run_with_a_dead_lease"),
            models.Index(fields=["fingerprint", "is_estimate"], name="run_and_its_estimate"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(state__in=RunState.values), name="run_has_a_known_state"),
            models.CheckConstraint(
                condition=~models.Q(state=RunState.RUNNING) | models.Q(lease_until__isnull=False),
                name="running_means_leased",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=RunState.FAILED) | ~models.Q(failure_code=""), name="failed_says_why"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def folder(self) -> Path:
        return Path(settings.RUNS_DIR) / str(self.id)

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


class RunInput(models.Model):
    """An input by name: an artifact, or the output of a run that must succeed first."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="inputs")
    name = models.CharField(max_length=32)
    artifact = models.ForeignKey(Artifact, null=True, on_delete=models.PROTECT, related_name="used_by")
    after = models.ForeignKey(Run, null=True, on_delete=models.PROTECT, related_name="needed_by")

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "name"], name="one_input_of_a_name"),
            models.CheckConstraint(
                condition=models.Q(artifact__isnull=False) | models.Q(after__isnull=False),
                name="input_comes_from_somewhere",
            ),
        ]


class RunOutput(models.Model):
    """What a run made: at most one artifact, written in the transaction in which the run succeeds."""

    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="output")
    artifact = models.OneToOneField(Artifact, on_delete=models.PROTECT, related_name="made_by")


class EventKind(models.TextChoices):
    PROGRESS = "progress", _("Progress")
    METRIC = "metric", _("Metric")
    SAMPLE = "sample", _("Sample")
    WARNING = "warning", _("Warning")
    LOG = "log", _("Log")
    STATE = "state", _("State")  # written by us: claimed, resumed, lost, cancelled ...


class RunEvent(models.Model):
    """One thing that a run said (copied from its folder, in its order) or that happened to it (kind `state`)."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=16, choices=EventKind)
    payload = models.JSONField()

    class Meta:
        ordering: ClassVar = ["run", "seq"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "seq"], name="one_event_of_a_seq")]
        indexes: ClassVar = [models.Index(fields=["run", "kind", "seq"], name="run_events_of_a_kind")]
