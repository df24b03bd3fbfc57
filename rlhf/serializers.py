"""How rounds look in the API, and what it takes to start one and to decide it."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api import StrictSerializer
from rlhf.models import Round
from rlhf.services.alarm import Standing, Votes, Watch, watch
from rlhf.status import PolicyStatus
from runs.reports import Figure
from runs.serializers import CoachFindingSerializer

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


class VotesSerializer(serializers.Serializer[Votes]):
    """How often people put the policy's text above the reference's, ties half, with its 95 % interval over prompts."""

    share = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    num_prompts = serializers.IntegerField()
    num_votes = serializers.IntegerField()
    is_simulated = serializers.BooleanField()


class WatchSerializer(serializers.Serializer[Watch]):
    """Whether people agree with the reward; `finding` is the reward-hacking alarm."""

    standing = serializers.ChoiceField(choices=[standing.value for standing in Standing])
    votes = VotesSerializer(allow_null=True)
    num_missing = serializers.IntegerField(help_text="prompts that must still be ranked before it can be told")
    words = serializers.CharField()
    finding = CoachFindingSerializer(allow_null=True)


class WatchedPolicySerializer(PolicySerializer):
    watch = serializers.SerializerMethodField()

    @extend_schema_field(WatchSerializer(allow_null=True))
    def get_watch(self, policy: PolicyStatus) -> Any:
        """`reference` of the context is the model that the round started from."""
        if policy.model is None:
            return None
        return WatchSerializer(watch(policy.model, reference=self.context["reference"])).data


class StageSerializer(serializers.Serializer[Any]):
    stage = serializers.CharField()
    run = serializers.UUIDField(source="run_id")
    state = serializers.CharField(source="run.state")


class RoundDetailSerializer(RoundSerializer):
    """With how far it is: `words` for people, `is_waiting` where a person's decision is due."""

    words = serializers.CharField(source="status.words")
    is_waiting = serializers.BooleanField(source="status.is_waiting")
    stages = StageSerializer(many=True)
    policies = WatchedPolicySerializer(source="status.policies", many=True)

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
    despite_alarm = serializers.BooleanField(default=False, help_text="where people prefer the reference")
