"""How constitutional runs look in the API, and what it takes to plan, estimate and decide one."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.ai_serializers import RuleSerializer, VerdictSerializer
from rlhf.models import ConstitutionalRun
from rlhf.serializers import StageSerializer
from rlhf.services.constitutional.estimates import StageEstimate

Name = serializers.SlugRelatedField[Any]


class ConstitutionalSerializer(serializers.ModelSerializer[ConstitutionalRun]):
    """A run as lists show it; models and datasets by name, the campaign of the blind overlap by its slug."""

    constitution: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    model: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    feedback: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    red_team: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    helpful: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    human: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    votes: Name = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    preferences: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    campaign: Name = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: Name = serializers.SlugRelatedField(slug_field="username", read_only=True)
    decided_by: Name = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = ConstitutionalRun
        fields: ClassVar = [
            "id", "name", "state", "constitution", "model", "feedback", "red_team", "helpful", "human", "campaign",
            "preferences", "people_alone", "votes", "plan", "created_by", "created_at", "decided_by", "decided_at",
        ]  # fmt: skip


class AtGateSerializer(serializers.Serializer[Any]):
    """How the feedback agrees with people, and what it comes to; once decided, as it was then."""

    rater = serializers.CharField()
    num_pairs = serializers.IntegerField()
    flip_rate = serializers.FloatField()
    num_counted = serializers.IntegerField(help_text="tasks whose labels would be learned")
    num_for_people = serializers.IntegerField(help_text="tasks held back, or abstained from")
    overall = VerdictSerializer()
    by_principle = VerdictSerializer(many=True)
    by_kind = VerdictSerializer(many=True)


class ConstitutionalDetailSerializer(ConstitutionalSerializer):
    """With how far it is, its gate once the pairs are judged, and what it changed so far (figures as [value, low, high])."""

    words = serializers.CharField(source="status.words")
    is_waiting = serializers.BooleanField(source="status.is_waiting")
    stages = StageSerializer(many=True)
    gate = AtGateSerializer(source="at_gate", allow_null=True)
    harmfulness_by_round = serializers.ListField(child=serializers.FloatField())
    report = serializers.ListField(child=serializers.DictField())
    blind_votes = serializers.ListField(child=serializers.DictField())

    class Meta(ConstitutionalSerializer.Meta):
        fields: ClassVar = [
            *ConstitutionalSerializer.Meta.fields, "words", "is_waiting", "stages", "gate", "harmfulness_by_round", "report",
            "blind_votes",
        ]  # fmt: skip


class ConstitutionalPlanSerializer(StrictSerializer):
    """What a run is made of, by name. `changes` alter the preset's recipe by stage: {"chains": {"rounds": 2}}."""

    constitution = serializers.CharField(max_length=120, help_text="the dataset of a published version")
    model = serializers.CharField(max_length=120)
    red_team = serializers.CharField(max_length=120, help_text="prompts that ask for harm")
    helpful = serializers.CharField(max_length=120, help_text="everyday prompts")
    human = serializers.CharField(max_length=120, allow_null=True, default=None, help_text="preferences of people")
    feedback = serializers.CharField(max_length=120, allow_null=True, default=None, help_text="null: the tuned model")
    preset = serializers.CharField(max_length=32, default="demo")
    policy = serializers.CharField(max_length=32, default="dpo")
    people_share = serializers.IntegerField(default=30, help_text="percent of training pairs that people rank, too")
    ai_share = serializers.FloatField(default=0.5, help_text="share of harmlessness in what is learned")
    rule = RuleSerializer(default=dict)
    changes = serializers.DictField(child=serializers.DictField(), default=dict)


class StartConstitutionalSerializer(ConstitutionalPlanSerializer):
    name = serializers.SlugField(max_length=60)
    raters = serializers.ListField(child=serializers.CharField(max_length=150), default=list, help_text="usernames")


class ThroughSerializer(StrictSerializer):
    people_alone = serializers.BooleanField(default=False, help_text="learn from none of the feedback")


class OpenVotesSerializer(StrictSerializer):
    raters = serializers.ListField(child=serializers.CharField(max_length=150), default=list, help_text="usernames")
    overlap = serializers.IntegerField(default=1, help_text="raters a task")
    limit = serializers.IntegerField(default=None, allow_null=True, help_text="prompts of each kind, at most, by lot")


class SentSerializer(serializers.Serializer[Any]):
    num_tasks = serializers.IntegerField()


class StageEstimateSerializer(serializers.Serializer[StageEstimate]):
    """`seconds` is null where nothing is known yet; `run` is the probe, or the run that it goes by."""

    stage = serializers.CharField()
    seconds = serializers.FloatField(allow_null=True)
    words = serializers.CharField()
    run = serializers.UUIDField(source="run.pk", default=None, allow_null=True)
    is_under_way = serializers.BooleanField()
