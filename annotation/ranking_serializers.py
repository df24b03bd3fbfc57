"""How rankings look in the API, sent and told back: in the letters of the task, never by the ids of completions."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api import StrictSerializer
from annotation.models import CannotRank, Ranking
from annotation.services.judge import LONGEST_EDIT, LONGEST_REASON, Edit, Submission


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


def submission_in(told: dict[str, Any]) -> Submission:
    """What a `SubmissionSerializer` has checked."""
    edit = told.pop("edit")
    return Submission(edit=Edit(**edit) if edit else None, **told)


class RankingSerializer(serializers.ModelSerializer[Ranking]):
    """A ranking as its rater sees it: in the letters that she saw."""

    campaign = serializers.CharField(source="assignment.slot.campaign.slug")
    tiers = serializers.SerializerMethodField()
    strengths = serializers.ListField(source="shown_strengths", child=serializers.IntegerField(), read_only=True)
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
    return {completion: letter for letter, completion in ranking.own_assignment.letters().items()}
