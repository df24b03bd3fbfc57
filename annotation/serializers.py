"""How campaigns look in the API."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.importing.bringing import Report
from annotation.importing.complaints import Complaint
from annotation.importing.found import Counts
from annotation.importing.reading import BY_NAME
from annotation.models import Campaign, CampaignState, Invitation, Membership, SkipMode
from annotation.rules import RULES
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
            "name", "slug", "state", "k", "overlap", "lease_minutes", "attributes", "created_by", "created_at", *RULES,
        ]  # fmt: skip


class RulesSerializer(StrictSerializer):
    """How work is given out; null means none."""

    most_rankings = serializers.IntegerField(required=False, allow_null=True, help_text="by one rater")
    skip_mode = serializers.ChoiceField(required=False, choices=SkipMode.choices)
    skip_needs_reason = serializers.BooleanField(required=False)
    extra_below = serializers.IntegerField(
        required=False, allow_null=True, help_text="percent: one more rater for a task that agrees less"
    )
    extra_most = serializers.IntegerField(
        required=False, allow_null=True, help_text="rankings a task, extra ones included"
    )


class MemberSerializer(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Membership
        fields: ClassVar = ["username", "is_active", "num_ranked", "most_rankings", "group"]


class MemberChangeSerializer(StrictSerializer):
    """What is given changes."""

    most_rankings = serializers.IntegerField(
        required=False, allow_null=True, help_text="in place of the campaign's; null takes it away"
    )
    group = serializers.CharField(
        required=False, allow_blank=True, help_text="carried by snapshots from now on; empty for none"
    )


class PrioritySerializer(StrictSerializer):
    ids = serializers.ListField(
        child=serializers.CharField(max_length=120),
        min_length=1,
        max_length=10_000,
        help_text="of tasks, or of prompts as imported",
    )
    priority = serializers.IntegerField(help_text="0, which goes first, to 1000; usual is 50")


class MovedSerializer(serializers.Serializer[Any]):
    num_tasks = serializers.IntegerField()


class NewCampaignSerializer(RulesSerializer):
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
    slots_passed = serializers.IntegerField(help_text="skipped, where that counts as done")
    slots_extra = serializers.IntegerField(help_text="added because raters of a task differed")
    surplus = serializers.IntegerField()
    rankings = serializers.IntegerField()
    simulated = serializers.IntegerField()
    cannot_rank = serializers.IntegerField()
    edits = serializers.IntegerField()
    raters = serializers.IntegerField()
    counted_at = serializers.DateTimeField(allow_null=True, help_text="of a large campaign; null: just now")


class StateSerializer(StrictSerializer):
    to = serializers.ChoiceField(choices=CampaignState.choices)


class PromptsSerializer(StrictSerializer):
    """Rows are {"prompt": text or messages} or {"messages": [...]}, with an "id" or none."""

    rows = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=10_000)


class FileImportSerializer(StrictSerializer):
    """A file, as multipart/form-data. Without `dry_run=false` nothing of it is kept."""

    file = serializers.FileField(max_length=255)
    format = serializers.ChoiceField(choices=list(BY_NAME), required=False, help_text="told from the first rows")
    dry_run = serializers.BooleanField(default=True)
    leave_bad_out = serializers.BooleanField(default=False, help_text="import the other lines where some are bad")
    is_simulated = serializers.BooleanField(default=False, help_text="its rankings were made by programs")


class CountsSerializer(serializers.Serializer[Counts]):
    """What is new; `known_` is what was here already or stands twice in the file."""

    prompts = serializers.IntegerField()
    known_prompts = serializers.IntegerField()
    completions = serializers.IntegerField()
    known_completions = serializers.IntegerField()
    tasks = serializers.IntegerField()
    known_tasks = serializers.IntegerField()
    rankings = serializers.IntegerField()
    known_rankings = serializers.IntegerField()
    surplus = serializers.IntegerField()
    raters = serializers.IntegerField()


class ComplaintSerializer(serializers.Serializer[Complaint]):
    line = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class ReportSerializer(serializers.Serializer[Report]):
    """What a file comes to: the first 20 of its bad lines in `lines`, all of them counted in `num_bad`."""

    format = serializers.CharField()
    unit = serializers.CharField(help_text="what `line` counts: Line, Item of a JSON list, Row of a table")
    num_rows = serializers.IntegerField()
    counts = CountsSerializer()
    made_tasks = serializers.IntegerField(help_text="put together from single completions; known after an import")
    num_bad = serializers.IntegerField()
    lines = ComplaintSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    unread = serializers.ListField(child=serializers.CharField(), help_text="columns")


class CloneSerializer(StrictSerializer):
    name = serializers.CharField(max_length=120)
    with_prompts = serializers.BooleanField(default=False)
    with_completions = serializers.BooleanField(default=False)


class NewInvitationSerializer(StrictSerializer):
    max_uses = serializers.IntegerField(default=1)
    days = serializers.IntegerField(default=7)
    note = serializers.CharField(max_length=120, allow_blank=True, default="")


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    class Meta:
        model = Invitation
        fields: ClassVar = ["id", "note", "max_uses", "uses", "expires_at", "revoked_at", "created_at"]


class InvitedSerializer(InvitationSerializer):
    """With the link, which is told this once."""

    link = serializers.CharField()

    class Meta(InvitationSerializer.Meta):
        fields: ClassVar = [*InvitationSerializer.Meta.fields, "link"]


class AddedSerializer(serializers.Serializer[Any]):
    num_added = serializers.IntegerField()
    num_known = serializers.IntegerField()


class RequestSerializer(StrictSerializer):
    model = serializers.CharField(
        max_length=120, default="", help_text="the name of a model; none where an endpoint is asked"
    )
    method = serializers.ChoiceField(["generate", "ask"], default="generate")
    recipe = serializers.DictField(default=dict, help_text="of the method")


class StartedSerializer(serializers.ModelSerializer[Run]):
    class Meta:
        model = Run
        fields: ClassVar = ["id", "title", "state"]


class SnapshotSerializer(StrictSerializer):
    name = serializers.CharField(max_length=120)
    shuffled_seed = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)
    ai_rater = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=150,
        help_text="A feedback model that judged the campaign: those of its labels that the gate lets through are frozen, too.",
    )  # fmt: skip


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
