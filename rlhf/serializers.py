"""How rounds look in the API, and what it takes to start one and to decide it."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from rlhf.models import Round
from rlhf.status import PolicyStatus
from runs.reports import Figure

Name = serializers.SlugRelatedField[Any]


class RoundSerializer(serializers.ModelSerializer[Round]):
    """A round as lists show it; models and datasets by name, the campaign by its slug."""

    campaign: Name = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    model: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    preferences: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    prompts: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    promoted: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    created_by: Name = serializers.SlugRelatedField(slug_field="username", read_only=True)
    decided_by: Name = serializers.SlugRelatedField(slug_field="username", read_only=True)
    is_simulated = serializers.BooleanField(source="preferences.is_simulated", read_only=True)

    class Meta:
        model = Round
        fields: ClassVar = [
            "id", "campaign", "number", "state", "model", "preferences", "prompts", "is_simulated", "promoted",
            "created_by", "created_at", "decided_by", "decided_at",
        ]  # fmt: skip


class FigureSerializer(serializers.Serializer[Figure]):
    """A mean of the reference and of the policy, and their difference with its 95 % interval over prompts."""

    label = serializers.CharField()  # type: ignore[assignment]
    reference = serializers.FloatField()
    policy = serializers.FloatField()
    difference = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    is_clear = serializers.BooleanField()


class PolicySerializer(serializers.Serializer[PolicyStatus]):
    stage = serializers.CharField()
    model = serializers.CharField(source="model.name", default=None, allow_null=True)
    evaluation = serializers.UUIDField(source="evaluation.pk", default=None, allow_null=True)
    kl = serializers.FloatField(allow_null=True)
    figures = FigureSerializer(many=True)


class StageSerializer(serializers.Serializer[Any]):
    stage = serializers.CharField()
    run = serializers.UUIDField(source="run_id")
    state = serializers.CharField(source="run.state")


class RoundDetailSerializer(RoundSerializer):
    """With how far it is: `words` for people, `is_waiting` where a person's decision is due."""

    words = serializers.CharField(source="status.words")
    is_waiting = serializers.BooleanField(source="status.is_waiting")
    stages = StageSerializer(many=True)
    policies = PolicySerializer(source="status.policies", many=True)

    class Meta(RoundSerializer.Meta):
        fields: ClassVar = [*RoundSerializer.Meta.fields, "words", "is_waiting", "stages", "policies"]


class StartRoundSerializer(StrictSerializer):
    campaign = serializers.CharField(max_length=120, help_text="its slug")
    model = serializers.CharField(max_length=120, help_text="name of the model that the policies start from")
    preferences = serializers.CharField(max_length=120, help_text="name of a snapshot of rankings")
    prompts = serializers.CharField(max_length=120, help_text="name of prompts with a held-out split")
    preset = serializers.CharField(max_length=32, default="demo")


class PromoteSerializer(StrictSerializer):
    """`current` is the model that went by sft/current when this was decided; null where none did."""

    model = serializers.CharField(max_length=120)
    current = serializers.CharField(max_length=120, allow_null=True)
