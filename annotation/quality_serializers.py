"""How the quality of judgement looks in the API, to those who run a campaign."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.desk_serializers import MessageSerializer, TextSerializer
from annotation.models import QualityPlan, Standing, StandingChange
from annotation.rails import review_letters
from annotation.services.gold import GoldImported
from annotation.services.quality_rows import GoldRow
from annotation.services.standing import LONGEST_WORDS
from annotation.statistics_api import MeasureSerializer

PLAN = (
    "gold_share", "repeat_share", "repeat_after", "num_tests", "pass_mark", "floor", "false_alarm", "shows_agreement",
)  # fmt: skip


class PlanSerializer(serializers.ModelSerializer[QualityPlan]):
    """Shares are parts of 1."""

    class Meta:
        model = QualityPlan
        fields: ClassVar = list(PLAN)


class PlanChangesSerializer(StrictSerializer):
    """What is not named stays as it is; the first change makes a plan, with the defaults for the rest."""

    gold_share = serializers.FloatField(required=False, help_text="of each rater's tasks, 0 to 0.5")
    repeat_share = serializers.FloatField(required=False, help_text="0 to 0.5; gold and repeats are half at most")
    repeat_after = serializers.IntegerField(required=False, help_text="tasks between a task and its repeat, 1 to 1000")
    num_tests = serializers.IntegerField(required=False, help_text="before she ranks: 0, or 4 to 100")
    pass_mark = serializers.FloatField(required=False, help_text="above 0.5")
    floor = serializers.FloatField(
        required=False, help_text="the credit that counts as honest, above 0.5, at most 0.95"
    )
    false_alarm = serializers.FloatField(
        required=False, help_text="the chance that an honest rater is ever paused, up to 0.2"
    )
    shows_agreement = serializers.BooleanField(required=False, help_text="to raters, their own")


class QualitySerializer(serializers.Serializer[Any]):
    """`plan` is null where the campaign checks nobody."""

    plan = PlanSerializer(allow_null=True)
    num_gold = serializers.IntegerField(help_text="in use")
    num_tests = serializers.IntegerField(help_text="test tasks in use")


class GoldSerializer(serializers.Serializer[Any]):
    """A right order, in letters that are its own. `credit` is everybody's: a gold that good raters miss is a bad gold."""

    id = serializers.IntegerField(source="gold.pk")
    use = serializers.CharField(source="gold.task.kind", help_text="gold or test")
    prompt = MessageSerializer(source="gold.task.prompt.messages", many=True)
    texts = serializers.SerializerMethodField()
    order = serializers.CharField(source="rail.line")
    explanation = serializers.CharField(source="gold.explanation")
    of_task = serializers.UUIDField(
        source="gold.source_id", allow_null=True, help_text="the task of work that it was made of; null: of a file"
    )
    made_by = serializers.CharField(source="gold.made_by.username", default=None, allow_null=True)
    credit = MeasureSerializer()
    num_answers = serializers.IntegerField()
    created_at = serializers.DateTimeField(source="gold.created_at")
    retired_at = serializers.DateTimeField(source="gold.retired_at", allow_null=True)

    def get_texts(self, row: GoldRow) -> list[dict[str, str]]:
        texts = {str(one.pk): one.text for one in row.gold.task.completions.all()}
        letters = review_letters(row.gold.task)
        return list(
            TextSerializer([{"letter": at, "text": texts[name]} for name, at in letters.items()], many=True).data
        )


class GoldFileSerializer(StrictSerializer):
    """JSON lines, as multipart/form-data: all of them are kept, or none."""

    file = serializers.FileField(max_length=255)


class GoldImportedSerializer(serializers.Serializer[GoldImported]):
    num_gold = serializers.IntegerField()
    num_tests = serializers.IntegerField()
    num_known = serializers.IntegerField(help_text="here already")


class ChangeSerializer(serializers.ModelSerializer[StandingChange]):
    before = serializers.CharField()
    after = serializers.CharField()
    by = serializers.CharField(source="by.username", default=None, allow_null=True, help_text="null: the checks")
    appeal = serializers.CharField(source="appeal.state", default=None, allow_null=True, help_text="its state")

    class Meta:
        model = StandingChange
        fields: ClassVar = ["before", "after", "cause", "reason", "by", "at", "appeal"]


class StandingSerializer(serializers.Serializer[Any]):
    """`last` is the newest change, null where there was none; `gold` and `repeats` are null without a plan."""

    username = serializers.CharField(source="member.user.username")
    is_simulated = serializers.BooleanField(source="member.user.is_simulated")
    is_active = serializers.BooleanField(source="member.is_active")
    standing = serializers.CharField(source="member.standing")
    last = ChangeSerializer(allow_null=True)
    gold = MeasureSerializer(source="evidence.gold", default=None, allow_null=True)
    repeats = MeasureSerializer(source="evidence.repeats", default=None, allow_null=True)


class NewStandingSerializer(StrictSerializer):
    """`paused` stops her; `trusted` lets her go on where she was; `tested` lets her take the test again."""

    to = serializers.ChoiceField(choices=[Standing.PAUSED, Standing.TRUSTED, Standing.TESTED])
    reason = serializers.CharField(
        max_length=LONGEST_WORDS, allow_blank=True, default="", help_text="she reads it; a pause needs one"
    )
