"""The API of constitutional runs: what there is, what one would take, start one, and decide at its gate."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import checked
from accounts.errors import NotFound
from accounts.models import Capability, User
from annotation.forms import people_who_rank
from annotation.quality.ai_gate import Rule
from registry.services.named import dataset_called, model_called
from rlhf.constitutional_serializers import (
    ConstitutionalDetailSerializer,
    ConstitutionalPlanSerializer,
    ConstitutionalSerializer,
    OpenVotesSerializer,
    SentSerializer,
    StageEstimateSerializer,
    StartConstitutionalSerializer,
    ThroughSerializer,
)
from rlhf.constitutional_status import status_of
from rlhf.models import ConstitutionalRun
from rlhf.services.constitutional.estimates import Makings, estimates_of, probe
from rlhf.services.constitutional.gate import close, gate_figures, go_through, send_rest_to_people
from rlhf.services.constitutional.gate_figures import GateFigures
from rlhf.services.constitutional.plan import Plan
from rlhf.services.constitutional.report import as_json, report_of, scores_by_round
from rlhf.services.constitutional.start import start_constitutional
from rlhf.services.constitutional.votes import as_json as votes_as_json
from rlhf.services.constitutional.votes import open_votes, votes_of

NAMED = ("constitution", "model", "feedback", "red_team", "helpful", "human", "campaign", "preferences", "votes", "created_by",
         "decided_by")  # fmt: skip
DECIDED = OpenApiResponse(description="Decided already, not judged yet, or too little agreement.")


class ConstitutionalRunsView(ListAPIView[ConstitutionalRun]):
    """All constitutional runs, the newest first."""

    capability = Capability.STUDY
    write_capability = Capability.MANAGE
    serializer_class = ConstitutionalSerializer

    def get_queryset(self) -> QuerySet[ConstitutionalRun]:
        return ConstitutionalRun.objects.select_related(*NAMED)

    @extend_schema(request=StartConstitutionalSerializer, responses={201: ConstitutionalDetailSerializer})
    def post(self, request: Request) -> Response:
        given = checked(StartConstitutionalSerializer, request.data)
        new = start_constitutional(
            given["name"], **makings_of(given), raters=raters_of(given["raters"]), user=signed_in(request)
        )
        return Response(detail_of(new.pk), status=201)


class ConstitutionalEstimateView(APIView):
    """What a run would take: tries what can be tried now. Asked again, it tells what is known by then."""

    capability = Capability.MANAGE

    @extend_schema(request=ConstitutionalPlanSerializer, responses=StageEstimateSerializer(many=True))
    def post(self, request: Request) -> Response:
        makings = makings_of(checked(ConstitutionalPlanSerializer, request.data))
        probe(makings, user=signed_in(request))
        return Response([StageEstimateSerializer(one).data for one in estimates_of(makings)])


class ConstitutionalRunView(APIView):
    capability = Capability.STUDY

    @extend_schema(responses=ConstitutionalDetailSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(detail_of(pk))


class ConstitutionalThroughView(APIView):
    """Freezes what is learned, and trains the preference model and the policy on it."""

    capability = Capability.MANAGE

    @extend_schema(request=ThroughSerializer, responses={200: ConstitutionalDetailSerializer, 409: DECIDED})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        given = checked(ThroughSerializer, request.data)
        go_through(found(pk), user=signed_in(request), people_alone=given["people_alone"])
        return Response(detail_of(pk))


class ConstitutionalPeopleView(APIView):
    """Has people rank the pairs that the gate holds back, and those that the feedback model abstained from."""

    capability = Capability.MANAGE

    @extend_schema(request=None, responses={200: SentSerializer, 409: DECIDED})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(SentSerializer({"num_tasks": send_rest_to_people(found(pk), user=signed_in(request))}).data)


class ConstitutionalVotesView(APIView):
    """Opens the campaign in which people say, blind, which model answers better; an open one stays as it is."""

    capability = Capability.MANAGE

    @extend_schema(request=OpenVotesSerializer, responses={200: ConstitutionalDetailSerializer, 409: DECIDED})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        given = checked(OpenVotesSerializer, request.data)
        open_votes(found(pk), **{**given, "raters": raters_of(given["raters"])}, user=signed_in(request))
        return Response(detail_of(pk))


class ConstitutionalCloseView(APIView):
    """Ends it at the gate: nothing is learned from the feedback."""

    capability = Capability.MANAGE

    @extend_schema(request=None, responses={200: ConstitutionalDetailSerializer, 409: DECIDED})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        close(found(pk), user=signed_in(request))
        return Response(detail_of(pk))


def found(pk: uuid.UUID) -> ConstitutionalRun:
    return get_object_or_404(ConstitutionalRun, pk=pk)


def detail_of(pk: uuid.UUID) -> object:
    new: Any = get_object_or_404(
        ConstitutionalRun.objects.select_related(*NAMED).prefetch_related("stages__run"), pk=pk
    )
    new.status = status_of(new)  # what its serializer reads beside the row
    new.at_gate = gate_told(gate_figures(new)) if new.status.is_at_gate or new.gate else None
    new.harmfulness_by_round = scores_by_round(new)
    new.blind_votes = [votes_as_json(one) for one in votes_of(new)]
    new.report = [as_json(figures) for figures in report_of(new)]
    return ConstitutionalDetailSerializer(new).data


def gate_told(found: GateFigures) -> dict[str, Any]:
    gate = found.gate
    return {
        "rater": found.rater, "num_pairs": found.num_pairs, "flip_rate": found.flip_rate, "num_counted": found.num_counted,
        "num_for_people": found.num_for_people, "overall": gate.overall, "by_principle": gate.principles,
        "by_kind": gate.kinds,
    }  # fmt: skip


def makings_of(given: dict[str, Any]) -> Makings:
    """Raises `NotFound` for a name that nothing has."""
    human, feedback = given["human"], given["feedback"]
    return Makings(
        constitution=dataset_called(given["constitution"]),
        model=model_called(given["model"]),
        red_team=dataset_called(given["red_team"]),
        helpful=dataset_called(given["helpful"]),
        human=None if human is None else dataset_called(human),
        feedback=None if feedback is None else model_called(feedback),
        plan=Plan(
            preset=given["preset"], policy=given["policy"], people_share=given["people_share"],
            ai_share=given["ai_share"], rule=Rule(**given["rule"]), changes=given["changes"],
        ),
    )  # fmt: skip


def raters_of(names: list[str]) -> list[User]:
    known = {user.username: user for user in people_who_rank().filter(username__in=names)}
    for name in names:
        if name not in known:
            raise NotFound(gettext("Nobody called %(name)s may rank here.") % {"name": name}, code="no_rater")
    return list(known.values())
