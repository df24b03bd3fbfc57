"""How campaigns and rankings look in the API. What a rater is sent has no model, no other's ranking, and no gold in it."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.models import Assignment, Campaign, CampaignState, CannotRank, Ranking
from annotation.services.judge import LONGEST_EDIT, LONGEST_REASON, Edit, Submission, texts_of
from annotation.services.progress import Progress
from registry.models import DatasetVersion
from runs.models import Run


class AttributeSerializer(StrictSerializer):
    """A scale on which each text is rated, from 1 (`low`) to `levels` (`high`)."""

    name = serializers.CharField(max_length=30)
    levels = serializers.IntegerField(help_text="2 to 7")
    low = serializers.CharField(max_length=60, help_text="what level 1 means")
    high = serializers.CharField(max_length=60, help_text="what the highest level means")
    is_required = serializers.BooleanField(default=False, help_text="of every text that is ranked")


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """A campaign as researchers and admins see it."""

    attributes = AttributeSerializer(many=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Campaign
        fields: ClassVar = [
            "name", "slug", "state", "k", "overlap", "lease_minutes", "attributes", "created_by", "created_at",
        ]  # fmt: skip


class NewCampaignSerializer(StrictSerializer):
    name = serializers.CharField(max_length=120)
    k = serializers.IntegerField(default=4)
    overlap = serializers.IntegerField(default=1)
    lease_minutes = serializers.IntegerField(default=20)
    guideline = serializers.CharField(max_length=100_000, allow_blank=True, default="")
    attributes = AttributeSerializer(many=True, default=list, help_text="at most 6; they can't be changed later")
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
    cannot_rank = serializers.IntegerField()
    edits = serializers.IntegerField()
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
        texts = texts_of(assignment.order)
        return [{"letter": letter, "text": texts[pk]} for letter, pk in assignment.letters().items()]


class LeaseSerializer(serializers.ModelSerializer[Assignment]):
    class Meta:
        model = Assignment
        fields: ClassVar = ["id", "state", "lease_until", "draft_at"]


class DraftSerializer(StrictSerializer):
    draft = serializers.DictField()


class SkipSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=200, allow_blank=True, default="")


class EditSerializer(StrictSerializer):
    """A better version of one text. It leads the rater's own order, and nobody else is shown it."""

    of = serializers.CharField(max_length=64, help_text="the letter of the text that it betters")
    text = serializers.CharField(max_length=LONGEST_EDIT, trim_whitespace=False)


class SubmissionSerializer(StrictSerializer):
    """A judgement. Texts are named by the letters of the task; each is in `tiers` or in `unranked`, two ranked at least.

    With `cannot_rank` there is no order; where `all_bad`, it may be left out.
    """

    client_uuid = serializers.UUIDField(help_text="made anew for each judgement, and sent again with each retry of it")
    tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=64), max_length=9),
        max_length=9,
        default=list,
    )
    strengths = serializers.ListField(child=serializers.IntegerField(), max_length=8, default=list)
    unranked = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=9, default=list, help_text="left out on purpose"
    )
    all_bad = serializers.BooleanField(default=False)
    cannot_rank = serializers.ChoiceField(
        choices=CannotRank.choices, allow_blank=True, default="", help_text="why there is no order"
    )
    flags = serializers.DictField(child=serializers.ListField(child=serializers.CharField(max_length=40)), default=dict)
    ratings = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()),
        default=dict,
        help_text="letter: {attribute: level}",
    )
    edit = EditSerializer(allow_null=True, default=None)
    reason = serializers.CharField(max_length=LONGEST_REASON, allow_blank=True, default="")
    seconds = serializers.FloatField(min_value=0, allow_null=True, default=None)

    def submission(self) -> Submission:
        told = dict(self.validated_data)
        edit = told.pop("edit")
        return Submission(edit=Edit(**edit) if edit else None, **told)


class RankingSerializer(serializers.ModelSerializer[Ranking]):
    """A ranking as its rater sees it: in the letters that she saw."""

    campaign = serializers.CharField(source="task.campaign.slug")
    tiers = serializers.SerializerMethodField()
    strengths = serializers.ListField(source="shown_strengths", child=serializers.IntegerField())
    unranked = serializers.SerializerMethodField()
    flags = serializers.SerializerMethodField()
    ratings = serializers.SerializerMethodField()
    edit = serializers.SerializerMethodField()

    class Meta:
        model = Ranking
        fields: ClassVar = [
            "id", "client_uuid", "assignment", "campaign", "tiers", "strengths", "unranked", "all_bad", "cannot_rank",
            "flags", "ratings", "edit", "reason", "seconds", "is_live", "supersedes", "created_at",
        ]  # fmt: skip

    def get_tiers(self, ranking: Ranking) -> list[list[str]]:
        letters = letters_of(ranking)
        return [sorted(letters[name] for name in tier) for tier in ranking.shown_tiers]

    def get_unranked(self, ranking: Ranking) -> list[str]:
        letters = letters_of(ranking)
        return sorted(letters[name] for name in ranking.unranked)

    def get_flags(self, ranking: Ranking) -> dict[str, list[str]]:
        letters = letters_of(ranking)
        return {letters[name]: flags for name, flags in ranking.flags.items()}

    def get_ratings(self, ranking: Ranking) -> dict[str, dict[str, int]]:
        letters = letters_of(ranking)
        return {letters[name]: levels for name, levels in ranking.ratings.items()}

    @extend_schema_field(EditSerializer(allow_null=True))
    def get_edit(self, ranking: Ranking) -> dict[str, str] | None:
        edit = ranking.edit
        return {"of": letters_of(ranking)[str(edit.parent_id)], "text": edit.text} if edit else None


def letters_of(ranking: Ranking) -> dict[str, str]:
    return {completion: letter for letter, completion in ranking.assignment.letters().items()}
