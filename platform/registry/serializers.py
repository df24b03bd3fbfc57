"""How models, datasets and aliases look in the API, and what it takes to change them."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from registry.models import Alias, DatasetKind, DatasetVersion, ModelVersion
from registry.services.names import LONGEST, LONGEST_ALIAS


def name_of(**options: Any) -> serializers.SlugRelatedField[Any]:
    return serializers.SlugRelatedField(slug_field="name", read_only=True, **options)


def person() -> serializers.SlugRelatedField[Any]:
    return serializers.SlugRelatedField(slug_field="username", read_only=True)


class ModelSerializer(serializers.ModelSerializer[ModelVersion]):
    """A model as lists show it."""

    base = name_of()
    created_by = person()

    class Meta:
        model = ModelVersion
        fields: ClassVar = [
            "id", "name", "role", "base", "method", "num_parameters", "is_simulated", "artifact", "run", "created_by",
            "created_at",
        ]  # fmt: skip


class ModelDetailSerializer(ModelSerializer):
    """A model with what it was made from, its names, and its files."""

    parents = name_of(many=True)
    datasets = name_of(many=True)
    aliases = name_of(many=True)
    sha256 = serializers.CharField(source="artifact.sha256", read_only=True)
    files = serializers.DictField(source="artifact.files", read_only=True, child=serializers.CharField())
    metrics = serializers.DictField(source="artifact.metrics", read_only=True)

    class Meta(ModelSerializer.Meta):
        fields: ClassVar = [
            *ModelSerializer.Meta.fields, "card", "parents", "datasets", "aliases", "sha256", "files", "metrics"
        ]  # fmt: skip


class DatasetSerializer(serializers.ModelSerializer[DatasetVersion]):
    """A dataset as lists show it."""

    created_by = person()
    splits = serializers.DictField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = DatasetVersion
        fields: ClassVar = [
            "id", "name", "kind", "num_rows", "splits", "rows_sha256", "licence", "is_simulated", "artifact", "run",
            "created_by", "created_at",
        ]  # fmt: skip


class DatasetDetailSerializer(DatasetSerializer):
    """A dataset with how it was made, and what it can be exported as."""

    parents = name_of(many=True)
    models_used = name_of(many=True)
    query = serializers.DictField(read_only=True)
    formats = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta(DatasetSerializer.Meta):
        fields: ClassVar = [*DatasetSerializer.Meta.fields, "card", "query", "parents", "models_used", "formats"]


class AliasSerializer(serializers.ModelSerializer[Alias]):
    model = name_of()

    class Meta:
        model = Alias
        fields: ClassVar = ["name", "model", "moved_at"]


class RowsSerializer(serializers.Serializer[Any]):
    """Some rows of a split; their columns are those of the dataset's kind."""

    split = serializers.CharField()
    offset = serializers.IntegerField()
    num_rows = serializers.IntegerField(help_text="Rows of the split in all.")
    rows = serializers.ListField(child=serializers.DictField())


class NodeSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    kind = serializers.CharField(help_text="model, dataset, campaign or rankings")
    label = serializers.CharField()  # type: ignore[assignment]  # a Field has a `label` of its own
    note = serializers.CharField()
    url = serializers.CharField(help_text="Of its page; empty where it has none.")
    layer = serializers.IntegerField(help_text="Grows from what was first, 0.")
    is_simulated = serializers.BooleanField()


class EdgeSerializer(serializers.Serializer[Any]):
    """`target` was made from `source`."""

    source = serializers.CharField()  # type: ignore[assignment]  # ... and a `source`
    target = serializers.CharField()


class GraphSerializer(serializers.Serializer[Any]):
    focus = serializers.CharField()
    nodes = NodeSerializer(many=True)
    edges = EdgeSerializer(many=True)
    is_cut = serializers.BooleanField(help_text="There is more than was walked.")


class UploadSerializer(serializers.Serializer[Any]):
    """What an upload became: `artifact` is the input `upload` of a run of `import_model`."""

    artifact = serializers.UUIDField(source="pk")
    sha256 = serializers.CharField()
    files = serializers.DictField(child=serializers.CharField())
    size = serializers.IntegerField()


class ImportSerializer(StrictSerializer):
    """The multipart body that imports a dataset."""

    name = serializers.CharField(max_length=LONGEST)
    kind = serializers.ChoiceField(choices=DatasetKind.choices, help_text="All but completions.")
    licence = serializers.CharField(max_length=64, default="", allow_blank=True)
    file = serializers.FileField(help_text=".jsonl, .json, .parquet, .csv (labelled), or .txt")


class FilesSerializer(StrictSerializer):
    """The multipart body that uploads a model: its files, all called `files`."""

    files = serializers.ListField(child=serializers.FileField(), allow_empty=False)


class MoveSerializer(StrictSerializer):
    """The body that moves an alias. `expected` is the model that the caller saw there; null where there was none."""

    name = serializers.CharField(max_length=LONGEST_ALIAS)
    model = serializers.CharField(max_length=LONGEST)
    expected = serializers.CharField(max_length=LONGEST, allow_null=True)
    despite_objection = serializers.BooleanField(default=False, help_text="such as people who prefer its reference")


class RowsAsked(StrictSerializer):
    split = serializers.ChoiceField(choices=["train", "test"], default="train")
    offset = serializers.IntegerField(min_value=0, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=50)
