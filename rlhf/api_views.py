"""The API of rounds: what there is, how far each is, start one, promote one of its policies, decline."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import checked
from accounts.errors import NotFound
from accounts.models import Capability, User
from annotation.models import Campaign
from registry.services.named import dataset_called, model_called
from rlhf.models import Round
from rlhf.serializers import PromoteSerializer, RoundDetailSerializer, RoundSerializer, StartRoundSerializer
from rlhf.services.rounds import decline, promote, start_round
from rlhf.status import status_of

NAMED = ("campaign", "model", "preferences", "prompts", "promoted", "created_by", "decided_by")


class RoundsView(ListAPIView[Round]):
    """All rounds, the newest first."""

    capability = Capability.STUDY
    write_capability = Capability.MANAGE
    serializer_class = RoundSerializer

    def get_queryset(self) -> QuerySet[Round]:
        return Round.objects.select_related(*NAMED)

    @extend_schema(request=StartRoundSerializer, responses={201: RoundDetailSerializer})
    def post(self, request: Request) -> Response:
        given = checked(StartRoundSerializer, request.data)
        campaign = Campaign.objects.filter(slug=given["campaign"]).first()
        if campaign is None:
            raise NotFound(
                gettext("There is no campaign called %(name)s.") % {"name": given["campaign"]},
                code="no_campaign",
            )
        turn = start_round(
            campaign,
            model=model_called(given["model"]),
            preferences=dataset_called(given["preferences"]),
            prompts=dataset_called(given["prompts"]),
            preset=given["preset"],
            user=person(request),
        )
        return Response(detail_of(turn.pk), status=201)


class RoundView(APIView):
    capability = Capability.STUDY

    @extend_schema(responses=RoundDetailSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(detail_of(pk))


class PromoteView(APIView):
    """Makes a policy of the round the current model, if the current one is still what the body says."""

    capability = Capability.MANAGE

    @extend_schema(
        request=PromoteSerializer,
        responses={200: RoundDetailSerializer, 409: OpenApiResponse(description="Decided or moved meanwhile.")},
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        turn = get_object_or_404(Round, pk=pk)
        given = checked(PromoteSerializer, request.data)
        current = given["current"]
        promote(
            turn,
            model=model_called(given["model"]),
            user=person(request),
            expected=None if current is None else model_called(current),
            despite_alarm=given["despite_alarm"],
        )
        return Response(detail_of(pk))


class DeclineView(APIView):
    capability = Capability.MANAGE

    @extend_schema(
        request=None,
        responses={200: RoundDetailSerializer, 409: OpenApiResponse(description="Decided already.")},
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        decline(get_object_or_404(Round, pk=pk), user=person(request))
        return Response(detail_of(pk))


def detail_of(pk: uuid.UUID) -> object:
    turn = get_object_or_404(Round.objects.select_related(*NAMED).prefetch_related("stages__run"), pk=pk)
    turn.status = status_of(turn)  # type: ignore[attr-defined]  # what its serializer reads beside the row
    return RoundDetailSerializer(turn, context={"reference": turn.model}).data


def person(request: Request) -> User:
    assert isinstance(request.user, User)  # the permission has let nobody else through
    return request.user
