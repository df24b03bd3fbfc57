"""The API of trials: one principle of a version on one prompt, started, and read as far as it is."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import StrictSerializer, checked
from accounts.models import Capability
from rlhf.constitution_views import version_of
from rlhf.services.constitutions.trying import LONGEST_PROMPT, SETTINGS, Asked, last_asked, trials_of, try_principle
from rlhf.services.constitutions.wording import wordings_in
from rlhf.trial_form import MOST_SEED
from rlhf.trial_views import named, tries_of
from rlhf.trials import Trial, trial_of
from runs.services.inputs import find_input


class TrySerializer(StrictSerializer):
    """What is left out is as in your last trial; models are called by their name, an alias or an id."""

    prompt = serializers.CharField(max_length=LONGEST_PROMPT)
    model = serializers.CharField(max_length=200, required=False)
    critic = serializers.ChoiceField(choices=["model", "endpoint", "rules"], required=False)
    feedback = serializers.CharField(
        max_length=200, allow_null=True, required=False, help_text="who critiques and judges; null: the model itself"
    )
    endpoint = serializers.DictField(required=False, help_text='{"url": ..., "model": ...}, where the critic is one')
    max_new_tokens = serializers.IntegerField(min_value=1, max_value=2048, required=False)
    temperature = serializers.FloatField(min_value=0.05, max_value=2, required=False)
    seed = serializers.IntegerField(min_value=0, max_value=MOST_SEED, required=False)


class AnswerSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    has_ended = serializers.BooleanField(help_text="and was not cut")
    harmfulness = serializers.FloatField(source="score", allow_null=True)


class CritiqueSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    has_ended = serializers.BooleanField()


class RevisionSerializer(AnswerSerializer):
    """`harmfulness` is that of the text that goes on: of the answer, where the revision was not kept."""

    is_kept = serializers.BooleanField()
    code = serializers.CharField(help_text="why it was not kept")
    why = serializers.CharField(help_text="the same as a sentence")


class JudgementSerializer(serializers.Serializer[Any]):
    """Probabilities that the revision is the better one."""

    first = serializers.FloatField(help_text="where it is shown first")
    second = serializers.FloatField(help_text="where it is shown second")
    both = serializers.FloatField(help_text="by the mean of both log-odds")
    is_flipped = serializers.BooleanField(help_text="each order named another winner")
    is_undecided = serializers.BooleanField()


class TrialSerializer(serializers.Serializer[Trial]):
    """A trial; parts that are not there yet are null. `id` is its run's."""

    id = serializers.UUIDField(source="run.pk")
    state = serializers.CharField(source="run.state")
    recipe = serializers.DictField(help_text="prompt, requests, examples and settings: what was tried")
    model = serializers.CharField(source="model.name", default=None)
    feedback = serializers.CharField(source="feedback.name", default=None, help_text="who critiqued, where another did")
    answer = AnswerSerializer(allow_null=True)
    critique = CritiqueSerializer(allow_null=True)
    revision = RevisionSerializer(allow_null=True)
    comparison = JudgementSerializer(source="judgement", allow_null=True)
    not_compared = serializers.CharField(help_text="why the model was not asked which is better")
    failure_code = serializers.CharField(source="run.failure_code")
    failure = serializers.CharField(source="run.failure")
    created_at = serializers.DateTimeField(source="run.created_at")


class TrialsView(APIView):
    """Your newest trials of a principle. A prompt that is posted starts one."""

    capability = Capability.STUDY
    write_capability = Capability.MANAGE

    @extend_schema(responses=TrialSerializer(many=True))
    def get(self, request: Request, slug: str, number: int, principle: str) -> Response:
        tries = tries_of(version_of(slug, number), principle, user=signed_in(request))
        return Response([TrialSerializer(trial_of(run)).data for run in tries])

    @extend_schema(request=TrySerializer, responses={201: TrialSerializer})
    def post(self, request: Request, slug: str, number: int, principle: str) -> Response:
        given = checked(TrySerializer, request.data)
        version, user = version_of(slug, number), signed_in(request)
        wordings = wordings_in(version)
        run = try_principle(
            version,
            named(wordings, principle),
            beside=wordings,
            prompt=given["prompt"],
            asked=asked_by(given, last=last_asked(user)),
            user=user,
        )
        return Response(TrialSerializer(trial_of(run)).data, status=201)


class TrialView(APIView):
    """A trial as far as it is."""

    capability = Capability.STUDY

    @extend_schema(responses=TrialSerializer)
    def get(self, request: Request, slug: str, number: int, principle: str, pk: uuid.UUID) -> Response:
        run = get_object_or_404(trials_of(version_of(slug, number), principle), pk=pk)
        return Response(TrialSerializer(trial_of(run)).data)


def asked_by(given: dict[str, Any], *, last: Asked) -> Asked:
    """What is given, and the rest as in the `last` trial. Raises what `find_input` does."""
    found = {name: find_input(given[name]) for name in ("model", "feedback") if given.get(name) is not None}
    settings = last.settings | {name: given[name] for name in SETTINGS if name in given}
    feedback = found.get("feedback") if "feedback" in given or "critic" in given else last.feedback
    return Asked(found.get("model", last.model), feedback, settings)
