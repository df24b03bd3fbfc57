"""The API of runs: what there is, what was said, start, cancel, resume, and the recipes as JSON schemas."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import StrictSerializer, checked
from accounts.models import Capability, User
from runs import audience
from runs.models import EventKind, Run, RunEvent, RunState
from runs.serializers import RunDetailSerializer, RunEventSerializer, RunSerializer, StartSerializer
from runs.services.control import request_cancel, resume_run
from runs.services.estimate import ask_estimate
from runs.services.inputs import find_input
from runs.services.start import start_run
from training.recipes import RECIPES

MOST_EVENTS = 1000


class RunsFilter(StrictSerializer):
    """What the list may be asked for; the names are fixed, so that no other column can be probed."""

    state = serializers.ChoiceField(choices=RunState.choices, required=False)
    method = serializers.ChoiceField(choices=list(RECIPES), required=False)
    cursor = serializers.CharField(required=False)
    page_size = serializers.IntegerField(required=False)


class RunsView(ListAPIView[Run]):
    capability = Capability.STUDY
    write_capability = Capability.MANAGE
    serializer_class = RunSerializer

    def get_queryset(self) -> QuerySet[Run]:
        runs = Run.objects.select_related("created_by")
        if getattr(self, "swagger_fake_view", False):  # the schema is made without a request
            return runs
        asked = checked(RunsFilter, self.request.query_params.dict())
        return runs.filter(**{name: asked[name] for name in ("state", "method") if name in asked})

    @extend_schema(request=StartSerializer, responses={201: RunDetailSerializer})
    def post(self, request: Request) -> Response:
        given = checked(StartSerializer, request.data)
        inputs = {name: find_input(what) for name, what in given.pop("inputs").items()}
        context = audience.context_of(given.pop("campaign"))
        if given.pop("estimate"):
            del given["priority"]
            run = ask_estimate(given.pop("method"), inputs=inputs, user=person(request), **given)
        else:
            run = start_run(given.pop("method"), inputs=inputs, user=person(request), context=context, **given)
        return Response(RunDetailSerializer(run).data, status=201)


class RunView(RetrieveAPIView[Run]):
    capability = Capability.STUDY
    serializer_class = RunDetailSerializer
    queryset = Run.objects.select_related("created_by", "output").prefetch_related("inputs")


class RunEventsView(APIView):
    capability = Capability.STUDY

    @extend_schema(
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT, description="events with a greater seq"),
            OpenApiParameter("kind", OpenApiTypes.STR, enum=EventKind.values),
        ],
        responses=RunEventSerializer(many=True),
    )
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        run = get_object_or_404(Run, pk=pk)
        asked = checked(EventsFilter, request.query_params.dict())
        events = RunEvent.objects.filter(run=run, seq__gt=asked["after"]).order_by("seq")
        if kind := asked.get("kind"):
            events = events.filter(kind=kind)
        return Response(RunEventSerializer(events[:MOST_EVENTS], many=True).data)


class EventsFilter(StrictSerializer):
    after = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    kind = serializers.ChoiceField(choices=EventKind.choices, required=False)


class CancelView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=None, responses=RunDetailSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        run = request_cancel(get_object_or_404(Run, pk=pk), user=person(request))
        return Response(RunDetailSerializer(run).data)


class ResumeView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=None, responses=RunDetailSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        run = resume_run(get_object_or_404(Run, pk=pk), user=person(request))
        return Response(RunDetailSerializer(run).data)


class RecipesView(APIView):
    """Every method with its inputs, its presets and the JSON schema of its recipe."""

    capability = Capability.STUDY

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(
            {
                method: {
                    "summary": recipe.summary, "inputs": recipe.inputs, "output": recipe.output, "role": recipe.role,
                    "presets": recipe.presets, "schema": recipe.model_json_schema(),
                }
                for method, recipe in RECIPES.items()
            }
        )  # fmt: skip


def person(request: Request) -> User:
    assert isinstance(request.user, User)  # the permission has let nobody else through
    return request.user
