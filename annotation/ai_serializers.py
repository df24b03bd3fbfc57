"""How AI feedback and its gate look in the API, and what it takes to ask for some."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.quality.ai_gate import Rule, Verdict

Plain = serializers.Serializer[Any]
RULE = Rule()


class RuleSerializer(StrictSerializer):
    """What agreement is asked for, of the lower ends of 95 % intervals."""

    accuracy = serializers.FloatField(min_value=0, max_value=1, default=RULE.accuracy)
    kappa = serializers.FloatField(min_value=-1, max_value=1, default=RULE.kappa)
    fewest = serializers.IntegerField(min_value=1, default=RULE.fewest)


class AccuracySerializer(Plain):
    """A figure with its 95 % interval; null where it is undefined."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class VerdictSerializer(serializers.Serializer[Verdict]):
    name = serializers.CharField()
    num = serializers.IntegerField(help_text="judgements that people and the feedback model both made")
    num_tasks = serializers.IntegerField()
    accuracy = AccuracySerializer()
    kappa = AccuracySerializer()
    is_enough = serializers.BooleanField()
    passes = serializers.BooleanField()


class GateSerializer(Plain):
    rule = RuleSerializer()
    overall = VerdictSerializer()
    by_principle = VerdictSerializer(many=True, source="principles")
    by_kind = VerdictSerializer(many=True, source="kinds")


class FeedbackSerializer(Plain):
    """One feedback model of a campaign: shares are of its judgements, a pair of texts each."""

    rater = serializers.CharField(source="rater.username")
    is_by_rules = serializers.BooleanField()
    num_judgements = serializers.IntegerField()
    abstained = serializers.FloatField()
    flipped = serializers.FloatField()
    num_counted = serializers.IntegerField(help_text="tasks whose every label counts")
    num_for_people = serializers.IntegerField()
    num_waiting = serializers.IntegerField(help_text="of those for people: given to nobody yet")
    gate = GateSerializer()


class AskFeedbackSerializer(StrictSerializer):
    """`recipe` is that of `judge`: {"critic": "endpoint", "endpoint": {"url": ..., "model": ...}} asks an endpoint."""

    constitution = serializers.CharField(max_length=120, help_text="the dataset of a published version")
    model = serializers.CharField(
        max_length=120, default=None, allow_null=True, help_text="null where an endpoint or the rules judge"
    )
    preset = serializers.CharField(max_length=32, default="")
    recipe = serializers.DictField(default=dict)


class PeopleShareSerializer(StrictSerializer):
    people_share = serializers.IntegerField(help_text="percent of the training prompts that people rank from the start")


class RestSerializer(StrictSerializer):
    rater = serializers.CharField(max_length=150, help_text="the feedback model, as it is listed")


class SentToPeopleSerializer(Plain):
    num_tasks = serializers.IntegerField()
