"""How runs look in the API, and what it takes to start one."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api import StrictSerializer
from runs.coach import Finding, coached
from runs.models import Priority, Run, RunEvent, RunInput


class RunInputSerializer(serializers.ModelSerializer[RunInput]):
    class Meta:
        model = RunInput
        fields: ClassVar = ["name", "artifact", "after"]


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run as lists show it."""

    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Run
        fields: ClassVar = [
            "id", "method", "title", "preset", "priority", "output_name", "state", "attempt", "max_attempts", "phase",
            "step", "total", "unit", "rate", "eta_s", "last_seq", "failure_code", "failure", "advice", "created_by",
            "created_at", "queued_at", "started_at", "finished_at", "cancel_requested_at", "is_estimate", "used",
        ]  # fmt: skip


class CoachFindingSerializer(serializers.Serializer[Finding]):
    """What stands out in a run: what was seen, the likely cause, what to try; `severity` is note, warning or alarm."""

    code = serializers.CharField()
    seen = serializers.CharField()
    cause = serializers.CharField()
    advice = serializers.CharField()
    severity = serializers.CharField()
    since = serializers.IntegerField(allow_null=True, help_text="the step from which it holds")


class RunDetailSerializer(RunSerializer):
    """A run with everything that it was told and made."""

    inputs = RunInputSerializer(many=True, read_only=True)
    artifact = serializers.SerializerMethodField()
    findings = serializers.SerializerMethodField()

    class Meta(RunSerializer.Meta):
        fields: ClassVar = [
            *RunSerializer.Meta.fields, "recipe", "seed", "context", "worker", "heartbeat_at", "lease_until", "inputs",
            "metrics", "artifact", "findings",
        ]  # fmt: skip

    def get_artifact(self, run: Run) -> str | None:
        return str(run.output.artifact_id) if hasattr(run, "output") else None

    @extend_schema_field(CoachFindingSerializer(many=True))
    def get_findings(self, run: Run) -> Any:
        return [CoachFindingSerializer(finding).data for finding in coached(run).findings]


class RunEventSerializer(serializers.ModelSerializer[RunEvent]):
    class Meta:
        model = RunEvent
        fields: ClassVar = ["seq", "at", "kind", "payload"]


class StartSerializer(StrictSerializer):
    """The body of POST /runs/. Inputs are called by the name of a model, alias or dataset, or by an id."""

    method = serializers.CharField(max_length=32)
    recipe = serializers.DictField(default=dict)
    preset = serializers.CharField(max_length=32, default="", allow_blank=True)
    inputs = serializers.DictField(child=serializers.CharField(max_length=200), default=dict)
    title = serializers.CharField(max_length=200, default="", allow_blank=True)
    output_name = serializers.RegexField(r"^[\w.\-]*\Z", max_length=120, default="", allow_blank=True)
    priority = serializers.ChoiceField(choices=Priority.choices, default=Priority.NORMAL)
    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    estimate = serializers.BooleanField(default=False, help_text="only probe what the run would cost")
    campaign = serializers.CharField(
        max_length=120, default="", allow_blank=True, help_text="whose raters are asked, by a recipe that has votes"
    )
