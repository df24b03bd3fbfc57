"""The API of a rater's own work. She is shown what is hers; what is not does not exist for her."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import checked, shown
from accounts.models import Capability
from annotation import desk_serializers as shapes
from annotation.models import Assignment, Campaign, Ranking
from annotation.own import hers, own_assignment, own_membership
from annotation.ranking_serializers import RankingSerializer, SubmissionSerializer, submission_in
from annotation.services.assign import lease_next, whole
from annotation.services.leases import renew, save_draft, skip
from annotation.services.rank import correct_ranking, submit_ranking


class MyCampaignsView(ListAPIView[Campaign]):
    capability = Capability.RANK
    serializer_class = shapes.MyCampaignSerializer

    def get_queryset(self) -> QuerySet[Campaign]:
        if getattr(self, "swagger_fake_view", False):  # the schema is made without a request
            return Campaign.objects.none()
        mine = {"membership__user": signed_in(self.request), "membership__is_active": True}
        return Campaign.objects.filter(**mine).order_by("-created_at", "-pk")


def own(request: Request, pk: uuid.UUID) -> Assignment:
    return own_assignment(pk, rater=signed_in(request))


class NextView(APIView):
    """Leases the next task, or returns the one that the rater has; 204 where nothing waits for her."""

    capability = Capability.RANK

    @extend_schema(
        request=None, responses={200: shapes.TaskSerializer, 204: OpenApiResponse(description="Nothing waits.")}
    )
    def post(self, request: Request, slug: str) -> Response:
        rater = signed_in(request)
        member = own_membership(slug, rater=rater)
        assignment = lease_next(hers(member if member.is_active else None).campaign, rater=rater)
        return Response(status=204) if assignment is None else Response(shown(shapes.TaskSerializer, assignment))


class AssignmentView(APIView):
    capability = Capability.RANK

    @extend_schema(responses=shapes.TaskSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(shown(shapes.TaskSerializer, whole(own(request, pk).pk)))


class DraftView(APIView):
    capability = Capability.RANK

    @extend_schema(request=shapes.DraftSerializer, responses=shapes.LeaseSerializer)
    def put(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        draft = checked(shapes.DraftSerializer, request.data)["draft"]
        return Response(shown(shapes.LeaseSerializer, save_draft(own(request, pk), rater=rater, draft=draft)))


class RenewView(APIView):
    capability = Capability.RANK

    @extend_schema(request=None, responses=shapes.LeaseSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        return Response(shown(shapes.LeaseSerializer, renew(own(request, pk), rater=rater)))


class SkipView(APIView):
    capability = Capability.RANK

    @extend_schema(request=shapes.SkipSerializer, responses=shapes.LeaseSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        reason = checked(shapes.SkipSerializer, request.data)["reason"]
        return Response(shown(shapes.LeaseSerializer, skip(own(request, pk), rater=rater, reason=reason)))


class SubmitView(APIView):
    """Submits a ranking. Safe to send again: the same client_uuid with the same judgement is answered with the stored row."""

    capability = Capability.RANK

    @extend_schema(request=SubmissionSerializer, responses={201: RankingSerializer})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        submission = submission_in(checked(SubmissionSerializer, request.data))
        made = submit_ranking(own(request, pk), rater=rater, submission=submission)
        return Response(shown(RankingSerializer, made), status=201)


class MyRankingsView(ListAPIView[Ranking]):
    capability = Capability.RANK
    serializer_class = RankingSerializer

    def get_queryset(self) -> QuerySet[Ranking]:
        if getattr(self, "swagger_fake_view", False):
            return Ranking.objects.none()
        mine = Ranking.objects.filter(rater=signed_in(self.request))
        return mine.select_related("assignment__slot__campaign", "edit").order_by("-created_at", "-pk")


class CorrectView(APIView):
    capability = Capability.RANK

    @extend_schema(request=SubmissionSerializer, responses={201: RankingSerializer})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        mine = get_object_or_404(Ranking.objects.select_related("assignment"), pk=pk, rater=rater)
        submission = submission_in(checked(SubmissionSerializer, request.data))
        made = correct_ranking(mine, rater=rater, submission=submission)
        return Response(shown(RankingSerializer, made), status=201)
