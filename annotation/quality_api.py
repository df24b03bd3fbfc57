"""The API of a campaign's checks, for those who run it: the plan, right orders, raters' standing; what the Quality page does."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import Pages, checked
from accounts.models import Capability, User
from annotation import quality_serializers as shapes
from annotation.api_views import campaign_of
from annotation.models import Campaign, GoldAnswer, Membership, Standing, plan_of
from annotation.services.gold import import_upload, retire_gold
from annotation.services.qualification import try_again
from annotation.services.quality_plan import set_plan
from annotation.services.quality_rows import gold_rows, golds_for_rows, num_golds, rater_rows
from annotation.services.standing import lift, pause


class QualityView(APIView):
    """The plan, and how many right orders there are. A change holds for places of checks that are drawn from then on."""

    capability = Capability.MANAGE

    @extend_schema(responses=shapes.QualitySerializer)
    def get(self, request: Request, slug: str) -> Response:
        return self.told_of(campaign_of(slug))

    @extend_schema(request=shapes.PlanChangesSerializer, responses=shapes.QualitySerializer)
    def patch(self, request: Request, slug: str) -> Response:
        campaign = campaign_of(slug)
        set_plan(campaign, user=signed_in(request), **checked(shapes.PlanChangesSerializer, request.data))
        return self.told_of(campaign)

    def told_of(self, campaign: Campaign) -> Response:
        num = num_golds(campaign)
        shown = {"plan": plan_of(campaign), "num_gold": num["gold"], "num_tests": num["tests"]}
        return Response(shapes.QualitySerializer(shown).data)


class GoldsView(ListAPIView[GoldAnswer]):
    """Right orders of gold and test tasks, the newest first, retired ones included; more come in a file."""

    capability = Capability.MANAGE
    parser_classes = (MultiPartParser,)
    serializer_class = shapes.GoldSerializer

    def get_queryset(self) -> QuerySet[GoldAnswer]:
        if getattr(self, "swagger_fake_view", False):  # the schema is made without a request
            return GoldAnswer.objects.none()
        return golds_for_rows(campaign_of(self.kwargs["slug"]))

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(shapes.GoldSerializer(gold_rows(page), many=True).data)

    @extend_schema(
        request={"multipart/form-data": shapes.GoldFileSerializer}, responses={201: shapes.GoldImportedSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        campaign, given = campaign_of(slug), checked(shapes.GoldFileSerializer, request.data)
        made = import_upload(campaign, given["file"], user=signed_in(request))
        return Response(shapes.GoldImportedSerializer(made).data, status=201)


class RetirementView(APIView):
    """Nobody is given it any more, and its answers count for nobody. Retiring twice is retiring once."""

    capability = Capability.MANAGE

    @extend_schema(request=None, responses=shapes.GoldSerializer)
    def post(self, request: Request, slug: str, pk: int) -> Response:
        golds = golds_for_rows(campaign_of(slug))
        retire_gold(get_object_or_404(golds, pk=pk), user=signed_in(request))
        (row,) = gold_rows(list(golds.filter(pk=pk)))
        return Response(shapes.GoldSerializer(row).data)


class ByKey(Pages):
    ordering = ("pk",)


class StandingsView(ListAPIView[Membership]):
    """Everybody who is or was a rater of the campaign: how she stands, why, and what the checks say of her."""

    capability = Capability.MANAGE
    pagination_class = ByKey
    serializer_class = shapes.StandingSerializer

    def get_queryset(self) -> QuerySet[Membership]:
        if getattr(self, "swagger_fake_view", False):
            return Membership.objects.none()
        return members_of(campaign_of(self.kwargs["slug"]))

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        plan = plan_of(campaign_of(self.kwargs["slug"]))
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(shapes.StandingSerializer(rater_rows(page, plan=plan), many=True).data)


def members_of(campaign: Campaign) -> QuerySet[Membership]:
    return Membership.objects.filter(campaign=campaign).select_related("user", "campaign")


class StandingView(APIView):
    """One rater's standing; pausing her, letting her go on, or letting her take the test again."""

    capability = Capability.MANAGE

    @extend_schema(responses=shapes.StandingSerializer)
    def get(self, request: Request, slug: str, username: str) -> Response:
        return self.told_of(campaign_of(slug), username)

    @extend_schema(request=shapes.NewStandingSerializer, responses=shapes.StandingSerializer)
    def post(self, request: Request, slug: str, username: str) -> Response:
        campaign, user = campaign_of(slug), signed_in(request)
        rater = get_object_or_404(User, username=username, memberships__campaign=campaign)
        given = checked(shapes.NewStandingSerializer, request.data)
        if given["to"] == Standing.PAUSED:
            pause(campaign, rater=rater, reason=given["reason"], user=user)
        elif given["to"] == Standing.TESTED:
            try_again(campaign, rater=rater, user=user)
        else:
            lift(campaign, rater=rater, user=user, reason=given["reason"])
        return self.told_of(campaign, username)

    def told_of(self, campaign: Campaign, username: str) -> Response:
        member = get_object_or_404(members_of(campaign), user__username=username)
        (row,) = rater_rows([member], plan=plan_of(campaign))
        return Response(shapes.StandingSerializer(row).data)
