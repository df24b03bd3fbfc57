"""How reviewing looks in the API: tasks by raters' names and reviewers' letters. No model is named in it."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.desk_serializers import MessageSerializer, TextSerializer
from annotation.models import Adjudication, Appeal, AppealState, Remark
from annotation.rails import rail_of_settled, review_letters
from annotation.services.gold import LONGEST_EXPLANATION, USES
from annotation.services.review import Dispute, Said, Settled
from annotation.services.standing import LONGEST_WORDS

LONGEST_ORDER = 200
ORDER = "letters as reviewers see them, best first: b > a = c >> d"


class RemarkSerializer(serializers.ModelSerializer[Remark]):
    by = serializers.CharField(source="by.username")

    class Meta:
        model = Remark
        fields: ClassVar = ["id", "ranking", "words", "returns", "by", "created_at"]


class SaidSerializer(serializers.Serializer[Said]):
    """One rater's ranking; `order` is null where she says that there is none, and why stands in `cannot_rank`."""

    ranking = serializers.UUIDField(source="ranking.pk")
    rater = serializers.CharField()
    is_simulated = serializers.BooleanField(source="ranking.is_simulated")
    order = serializers.CharField(source="rail.line", default=None, allow_null=True)
    cannot_rank = serializers.CharField(source="ranking.cannot_rank")
    reason = serializers.CharField(source="ranking.reason")
    seconds = serializers.FloatField(source="ranking.seconds", allow_null=True)
    at = serializers.DateTimeField()
    remarks = RemarkSerializer(many=True)


class SettledSerializer(serializers.Serializer[Settled]):
    id = serializers.UUIDField()
    order = serializers.CharField(source="rail.line")
    reason = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()


class DisputeSerializer(serializers.Serializer[Any]):
    """A task of work. `agreement` is the share of pairs that its raters order alike; null before two have ordered one."""

    id = serializers.UUIDField(source="task.pk")
    campaign = serializers.CharField(source="task.campaign.slug")
    asked = serializers.CharField(help_text="the last turn of its prompt")
    agreement = serializers.FloatField(source="task.agreement", allow_null=True)
    is_simulated = serializers.BooleanField()
    said = SaidSerializer(many=True)
    settled = SettledSerializer(allow_null=True)
    is_gold = serializers.SerializerMethodField(help_text="gold or a test task was made of it")

    def get_is_gold(self, dispute: Dispute) -> bool:
        return dispute.gold is not None


class WholeDisputeSerializer(DisputeSerializer):
    """With its prompt and its texts."""

    prompt = MessageSerializer(source="task.prompt.messages", many=True)
    texts = serializers.SerializerMethodField()

    def get_texts(self, dispute: Dispute) -> list[dict[str, str]]:
        texts = {str(pk): text for pk, text in dispute.task.completions.values_list("pk", "text")}
        told = [{"letter": letter, "text": texts[name]} for name, letter in dispute.letters.items()]
        return list(TextSerializer(told, many=True).data)


class DisputesAskedSerializer(serializers.Serializer[Any]):
    campaign = serializers.SlugField(required=False, help_text="of one campaign alone")
    settled = serializers.BooleanField(
        default=False, help_text="those whose order was settled, in place of those that wait"
    )


class NewAdjudicationSerializer(StrictSerializer):
    order = serializers.CharField(max_length=LONGEST_ORDER, help_text=ORDER)
    reason = serializers.CharField(max_length=LONGEST_WORDS, allow_blank=True, default="")
    over = serializers.UUIDField(
        allow_null=True,
        default=None,
        help_text="the settled order that this one takes the place of; null where none is",
    )


class AdjudicationSerializer(serializers.ModelSerializer[Adjudication]):
    order = serializers.SerializerMethodField()
    by = serializers.CharField(source="by.username")

    class Meta:
        model = Adjudication
        fields: ClassVar = ["id", "task", "order", "reason", "by", "is_live", "created_at"]

    def get_order(self, settled: Adjudication) -> str:
        return rail_of_settled(settled, letters=review_letters(settled.task)).line


class NewRemarkSerializer(StrictSerializer):
    words = serializers.CharField(max_length=LONGEST_WORDS)
    returns = serializers.BooleanField(default=False, help_text="asks her to correct the ranking")


class NewGoldSerializer(StrictSerializer):
    order = serializers.CharField(max_length=LONGEST_ORDER, help_text=ORDER)
    explanation = serializers.CharField(max_length=LONGEST_EXPLANATION, allow_blank=True, default="")
    use = serializers.ChoiceField(choices=list(USES), default="gold")


class AppealSerializer(serializers.ModelSerializer[Appeal]):
    """A paused rater's words, what she was paused for, and what was decided."""

    campaign = serializers.CharField(source="pause.membership.campaign.slug")
    rater = serializers.CharField(source="pause.membership.user.username")
    paused_at = serializers.DateTimeField(source="pause.at")
    paused_by = serializers.CharField(
        source="pause.by.username", default=None, allow_null=True, help_text="null: the checks"
    )
    paused_for = serializers.CharField(source="pause.reason")
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)

    class Meta:
        model = Appeal
        fields: ClassVar = [
            "id", "campaign", "rater", "words", "state", "answer", "paused_at", "paused_by", "paused_for", "created_at",
            "decided_at", "decided_by",
        ]  # fmt: skip


class AppealsAskedSerializer(serializers.Serializer[Any]):
    campaign = serializers.SlugField(required=False, help_text="of one campaign alone")
    state = serializers.ChoiceField(choices=AppealState.choices, default=AppealState.OPEN)


class DecisionSerializer(StrictSerializer):
    to = serializers.ChoiceField(choices=[AppealState.LIFTED, AppealState.UPHELD])
    answer = serializers.CharField(
        max_length=LONGEST_WORDS,
        allow_blank=True,
        default="",
        help_text="the rater reads it; needed where the pause stays",
    )
