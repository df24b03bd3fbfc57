"""How a rater's own work looks in the API: a task has no model, no other's ranking, and no gold in it."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.models import Assignment, Campaign
from annotation.serializers import AttributeSerializer


class MyCampaignSerializer(serializers.ModelSerializer[Campaign]):
    """A campaign as its raters see it."""

    class Meta:
        model = Campaign
        fields: ClassVar = ["name", "slug", "state"]


class MessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    content = serializers.CharField()


class TextSerializer(serializers.Serializer[Any]):
    letter = serializers.CharField()
    text = serializers.CharField()


class TaskSerializer(serializers.ModelSerializer[Assignment]):
    """A task on a rater's desk: texts under letters, in her order."""

    campaign = serializers.CharField(source="slot.campaign.slug")
    prompt = MessageSerializer(source="task.prompt.messages", many=True)
    texts = serializers.SerializerMethodField()
    attributes = AttributeSerializer(source="slot.campaign.attributes", many=True)
    guideline = serializers.CharField(source="guideline.text", default="")
    guideline_number = serializers.IntegerField(source="guideline.number", default=0)

    class Meta:
        model = Assignment
        fields: ClassVar = [
            "id", "campaign", "state", "prompt", "texts", "attributes", "guideline", "guideline_number", "lease_until", "draft",
            "draft_at",
        ]  # fmt: skip

    def get_texts(self, assignment: Assignment) -> list[dict[str, str]]:
        texts = assignment.texts
        return [{"letter": letter, "text": texts[pk]} for letter, pk in assignment.letters().items()]


class LeaseSerializer(serializers.ModelSerializer[Assignment]):
    class Meta:
        model = Assignment
        fields: ClassVar = ["id", "state", "lease_until", "draft_at"]


class DraftSerializer(StrictSerializer):
    draft = serializers.DictField()


class SkipSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=200, allow_blank=True, default="")
