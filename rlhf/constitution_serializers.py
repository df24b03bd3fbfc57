"""How constitutions look in the API, and what it takes to publish one."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from rlhf.models import Constitution, ConstitutionVersion
from rlhf.services.constitutions.wording import Example, Wording

Name = serializers.SlugRelatedField[Any]


class VersionSerializer(serializers.ModelSerializer[ConstitutionVersion]):
    """`edits` counts what was saved; who publishes says which count she has seen. `dataset` is null for a draft."""

    dataset: Name = serializers.SlugRelatedField(slug_field="name", read_only=True)
    edited_by: Name = serializers.SlugRelatedField(slug_field="username", read_only=True)
    published_by: Name = serializers.SlugRelatedField(slug_field="username", read_only=True)
    num_principles = serializers.IntegerField(read_only=True)

    class Meta:
        model = ConstitutionVersion
        fields: ClassVar = [
            "number", "state", "note", "num_principles", "dataset", "edits", "edited_by", "edited_at", "published_by",
            "published_at",
        ]  # fmt: skip


class ConstitutionSerializer(serializers.ModelSerializer[Constitution]):
    """A constitution with its versions, the newest first."""

    versions = VersionSerializer(many=True, read_only=True)
    created_by: Name = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Constitution
        fields: ClassVar = ["slug", "name", "purpose", "versions", "created_by", "created_at"]


class ExampleSerializer(serializers.Serializer[Example]):
    prompt = serializers.CharField()
    response = serializers.CharField()
    critique = serializers.CharField()
    revision = serializers.CharField()


class PrincipleSerializer(serializers.Serializer[Wording]):
    id = serializers.CharField()
    critique = serializers.CharField()
    revision = serializers.CharField()
    comparison = serializers.CharField()
    weight = serializers.FloatField()
    tags = serializers.ListField(child=serializers.CharField())
    examples = ExampleSerializer(many=True)


class DocumentSerializer(serializers.Serializer[Any]):
    """The document that an import takes and an export gives. Its own checks say what is wrong with it, by principle."""

    format = serializers.CharField()
    name = serializers.CharField()
    purpose = serializers.CharField()
    note = serializers.CharField()
    principles = PrincipleSerializer(many=True)


class PublishSerializer(StrictSerializer):
    edits = serializers.IntegerField(min_value=0, help_text="of the draft, as it was when it was read")
    dataset = serializers.CharField(max_length=120, default="", help_text="its name; else SLUG-vNUMBER")
