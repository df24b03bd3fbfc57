"""How campaigns and rankings look in the API. What a rater is sent has no model, no other's ranking, and no gold in it."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.models import Assignment, Campaign, CampaignState, Completion, Ranking
from annotation.services.progress import Progress
from annotation.services.rank import LONGEST_REASON, Submission
from registry.models import DatasetVersion
from runs.models import Run


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """A campaign as researchers and admins see it."""

    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Campaign
        fields: ClassVar = ["name", "slug", "state", "k", "overlap", "lease_minutes", "created_by", "created_at"]


class NewCampaignSerializer(StrictSerializer):
    name = serializers.CharField(max_length=120)
    k = serializers.IntegerField(default=4)
    overlap = serializers.IntegerField(default=1)
    lease_minutes = serializers.IntegerField(default=20)
    guideline = serializers.CharField(max_length=100_000, allow_blank=True, default="")
    raters = serializers.ListField(child=serializers.CharField(max_length=150), default=list, help_text="user names")


class ProgressSerializer(serializers.Serializer[Progress]):
    prompts = serializers.IntegerField()
    completions = serializers.IntegerField()
    tasks = serializers.IntegerField()
    slots = serializers.IntegerField()
    slots_free = serializers.IntegerField()
    slots_live = serializers.IntegerField()
    slots_done = serializers.IntegerField()
    surplus = serializers.IntegerField()
    rankings = serializers.IntegerField()
    simulated = serializers.IntegerField()
    raters = serializers.IntegerField()


class StateSerializer(StrictSerializer):
    to = serializers.ChoiceField(choices=CampaignState.choices)


class PromptsSerializer(StrictSerializer):
    """Rows as `import_prompts` reads them: {"prompt": text or messages} or {"messages": [...]}, with an "id" or none."""

    rows = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=10_000)


class AddedSerializer(serializers.Serializer[Any]):
    num_added = serializers.IntegerField()
    num_known = serializers.IntegerField()


class RequestSerializer(StrictSerializer):
    model = serializers.CharField(max_length=120, help_text="the name of a model")
    recipe = serializers.DictField(default=dict)


class StartedSerializer(serializers.ModelSerializer[Run]):
    class Meta:
        model = Run
        fields: ClassVar = ["id", "title", "state"]


class SnapshotSerializer(StrictSerializer):
    name = serializers.CharField(max_length=120)
    shuffled_seed = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class FrozenSerializer(serializers.ModelSerializer[DatasetVersion]):
    class Meta:
        model = DatasetVersion
        fields: ClassVar = [
            "id",
            "name",
            "kind",
            "rows_sha256",
            "num_rows",
            "splits",
            "query",
            "is_simulated",
            "created_at",
        ]


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
    guideline = serializers.CharField(source="guideline.text", default="")
    guideline_number = serializers.IntegerField(source="guideline.number", default=0)

    class Meta:
        model = Assignment
        fields: ClassVar = [
            "id", "campaign", "state", "prompt", "texts", "guideline", "guideline_number", "lease_until", "draft", "draft_at",
        ]  # fmt: skip

    def get_texts(self, assignment: Assignment) -> list[dict[str, str]]:
        texts = {
            str(pk): text for pk, text in Completion.objects.filter(pk__in=assignment.order).values_list("pk", "text")
        }
        return [{"letter": letter, "text": texts[pk]} for letter, pk in assignment.letters().items()]


class LeaseSerializer(serializers.ModelSerializer[Assignment]):
    class Meta:
        model = Assignment
        fields: ClassVar = ["id", "state", "lease_until", "draft_at"]


class DraftSerializer(StrictSerializer):
    draft = serializers.DictField()


class SkipSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=200, allow_blank=True, default="")


class SubmissionSerializer(StrictSerializer):
    """A judgement. Names in `tiers` and `flags` are the letters of the task."""

    client_uuid = serializers.UUIDField(help_text="made anew for each judgement, and sent again with each retry of it")
    tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=64), max_length=9),
        max_length=9,
        default=list,
    )
    strengths = serializers.ListField(child=serializers.IntegerField(), max_length=8, default=list)
    all_bad = serializers.BooleanField(default=False)
    flags = serializers.DictField(child=serializers.ListField(child=serializers.CharField(max_length=40)), default=dict)
    reason = serializers.CharField(max_length=LONGEST_REASON, allow_blank=True, default="")
    seconds = serializers.FloatField(min_value=0, allow_null=True, default=None)

    def submission(self) -> Submission:
        return Submission(**self.validated_data)


class RankingSerializer(serializers.ModelSerializer[Ranking]):
    """A ranking as its rater sees it: in the letters that she saw."""

    campaign = serializers.CharField(source="task.campaign.slug")
    tiers = serializers.SerializerMethodField()
    flags = serializers.SerializerMethodField()

    class Meta:
        model = Ranking
        fields: ClassVar = [
            "id", "client_uuid", "assignment", "campaign", "tiers", "strengths", "all_bad", "flags", "reason", "seconds",
            "is_live", "supersedes", "created_at",
        ]  # fmt: skip

    def get_tiers(self, ranking: Ranking) -> list[list[str]]:
        letters = letters_of(ranking)
        return [sorted(letters[name] for name in tier) for tier in ranking.tiers]

    def get_flags(self, ranking: Ranking) -> dict[str, list[str]]:
        letters = letters_of(ranking)
        return {letters[name]: flags for name, flags in ranking.flags.items()}


def letters_of(ranking: Ranking) -> dict[str, str]:
    return {completion: letter for letter, completion in ranking.assignment.letters().items()}
