"""The API of campaigns and of raters' work. A rater is shown her own; what is not hers does not exist for her."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import StrictSerializer
from accounts.models import Capability, User
from annotation import serializers as shapes
from annotation.models import Assignment, Campaign, Membership, Ranking
from annotation.ranking_serializers import RankingSerializer, SubmissionSerializer
from annotation.services.assign import lease_next, whole
from annotation.services.campaigns import BadCampaign, create_campaign, set_state
from annotation.services.completions import request_completions
from annotation.services.leases import renew, save_draft, skip
from annotation.services.progress import campaign_progress
from annotation.services.prompts import add_prompts
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.rules import change_rules, set_limit, set_priority
from annotation.services.snapshot import freeze_snapshot
from registry.models import ModelVersion


def told(body: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The body of a request, checked."""
    given = body(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def campaign_of(slug: str) -> Campaign:
    return get_object_or_404(Campaign.objects.select_related("created_by"), slug=slug)


class CampaignsView(ListAPIView[Campaign]):
    capability = Capability.STUDY
    write_capability = Capability.MANAGE
    serializer_class = shapes.CampaignSerializer
    queryset = Campaign.objects.select_related("created_by")

    @extend_schema(request=shapes.NewCampaignSerializer, responses={201: shapes.CampaignSerializer})
    def post(self, request: Request) -> Response:
        given = told(shapes.NewCampaignSerializer, request)
        raters = people(given.pop("raters"))
        made = create_campaign(given.pop("name"), raters=raters, user=signed_in(request), **given)
        return Response(shapes.CampaignSerializer(made).data, status=201)


def people(names: list[str]) -> list[User]:
    found = {user.username: user for user in User.objects.filter(username__in=names)}
    if unknown := sorted(set(names) - set(found)):
        raise BadCampaign(gettext("There is no user called %(name)s.") % {"name": unknown[0]}, field="raters")
    return list(found.values())


class CampaignView(APIView):
    capability = Capability.STUDY
    write_capability = Capability.MANAGE

    @extend_schema(responses=shapes.CampaignSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(shapes.CampaignSerializer(campaign_of(slug)).data)

    @extend_schema(request=shapes.RulesSerializer, responses=shapes.CampaignSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        changes = told(shapes.RulesSerializer, request)
        changed = change_rules(campaign_of(slug), user=signed_in(request), **changes)
        return Response(shapes.CampaignSerializer(changed).data)


class MembersView(APIView):
    """The raters of a campaign, those taken out of it included."""

    capability = Capability.STUDY

    @extend_schema(responses=shapes.MemberSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        members = (
            Membership.objects.filter(campaign=campaign_of(slug)).select_related("user").order_by("user__username")
        )
        return Response(shapes.MemberSerializer(members, many=True).data)


class MemberView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.LimitSerializer, responses=shapes.MemberSerializer)
    def patch(self, request: Request, slug: str, username: str) -> Response:
        campaign, rater = campaign_of(slug), get_object_or_404(User, username=username)
        most = told(shapes.LimitSerializer, request)["most_rankings"]
        member = set_limit(campaign, rater=rater, most=most, user=signed_in(request))
        return Response(shapes.MemberSerializer(member).data)


class PriorityView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.PrioritySerializer, responses=shapes.MovedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        given = told(shapes.PrioritySerializer, request)
        moved = set_priority(campaign_of(slug), of=given["ids"], priority=given["priority"], user=signed_in(request))
        return Response({"num_tasks": moved})


class ProgressView(APIView):
    capability = Capability.STUDY

    @extend_schema(responses=shapes.ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(asdict(campaign_progress(campaign_of(slug))))


class StateView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.StateSerializer, responses=shapes.CampaignSerializer)
    def post(self, request: Request, slug: str) -> Response:
        to = told(shapes.StateSerializer, request)["to"]
        return Response(shapes.CampaignSerializer(set_state(campaign_of(slug), to=to, user=signed_in(request))).data)


class PromptsView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.PromptsSerializer, responses=shapes.AddedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        rows = told(shapes.PromptsSerializer, request)["rows"]
        return Response(asdict(add_prompts(campaign_of(slug), rows=rows, user=signed_in(request))))


class CompletionsView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.RequestSerializer, responses={201: shapes.StartedSerializer})
    def post(self, request: Request, slug: str) -> Response:
        given = told(shapes.RequestSerializer, request)
        model = get_object_or_404(ModelVersion.objects.select_related("artifact"), name=given["model"])
        run = request_completions(campaign_of(slug), model=model, user=signed_in(request), recipe=given["recipe"])
        return Response(shapes.StartedSerializer(run).data, status=201)


class SnapshotView(APIView):
    capability = Capability.STUDY

    @extend_schema(request=shapes.SnapshotSerializer, responses={201: shapes.FrozenSerializer})
    def post(self, request: Request, slug: str) -> Response:
        given = told(shapes.SnapshotSerializer, request)
        made = freeze_snapshot(campaign_of(slug), user=signed_in(request), **given)
        return Response(shapes.FrozenSerializer(made).data, status=201)


class MyCampaignsView(ListAPIView[Campaign]):
    capability = Capability.RANK
    serializer_class = shapes.MyCampaignSerializer

    def get_queryset(self) -> QuerySet[Campaign]:
        if getattr(self, "swagger_fake_view", False):  # the schema is made without a request
            return Campaign.objects.none()
        mine = {"membership__user": signed_in(self.request), "membership__is_active": True}
        return Campaign.objects.filter(**mine).order_by("-created_at", "-pk")


def my_campaign(slug: str, rater: User) -> Campaign:
    return get_object_or_404(
        Campaign.objects.only("name"), slug=slug, membership__user=rater, membership__is_active=True
    )


def my_assignment(pk: uuid.UUID, rater: User) -> Assignment:
    return get_object_or_404(Assignment.objects.only("task", "order"), pk=pk, rater=rater)


class NextView(APIView):
    """Leases the next task, or returns the one that the rater has; 204 where nothing waits for her."""

    capability = Capability.RANK

    @extend_schema(
        request=None, responses={200: shapes.TaskSerializer, 204: OpenApiResponse(description="Nothing waits.")}
    )
    def post(self, request: Request, slug: str) -> Response:
        rater = signed_in(request)
        assignment = lease_next(my_campaign(slug, rater), rater=rater)
        return Response(status=204) if assignment is None else Response(shapes.TaskSerializer(assignment).data)


class AssignmentView(APIView):
    capability = Capability.RANK

    @extend_schema(responses=shapes.TaskSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(shapes.TaskSerializer(whole(my_assignment(pk, signed_in(request)).pk)).data)


class DraftView(APIView):
    capability = Capability.RANK

    @extend_schema(request=shapes.DraftSerializer, responses=shapes.LeaseSerializer)
    def put(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        draft = told(shapes.DraftSerializer, request)["draft"]
        return Response(shapes.LeaseSerializer(save_draft(my_assignment(pk, rater), rater=rater, draft=draft)).data)


class RenewView(APIView):
    capability = Capability.RANK

    @extend_schema(request=None, responses=shapes.LeaseSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        return Response(shapes.LeaseSerializer(renew(my_assignment(pk, rater), rater=rater)).data)


class SkipView(APIView):
    capability = Capability.RANK

    @extend_schema(request=shapes.SkipSerializer, responses=shapes.LeaseSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        reason = told(shapes.SkipSerializer, request)["reason"]
        return Response(shapes.LeaseSerializer(skip(my_assignment(pk, rater), rater=rater, reason=reason)).data)


class SubmitView(APIView):
    """Submits a ranking. Safe to send again: the same client_uuid with the same judgement is answered with the stored row."""

    capability = Capability.RANK

    @extend_schema(request=SubmissionSerializer, responses={201: RankingSerializer})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        rater = signed_in(request)
        body = SubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = submit_ranking(my_assignment(pk, rater), rater=rater, submission=body.submission())
        return Response(RankingSerializer(made).data, status=201)


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
        body = SubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = correct_ranking(mine, rater=rater, submission=body.submission())
        return Response(RankingSerializer(made).data, status=201)
