"""The API of campaigns and of raters' work. A rater is shown her own; what is not hers does not exist for her."""

from __future__ import annotations

from dataclasses import asdict

from django.db import transaction
from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import checked
from accounts.models import Capability, User
from annotation import serializers as shapes
from annotation.models import Campaign, Membership
from annotation.services.ai_labels import feedback_named
from annotation.services.campaigns import BadCampaign, create_campaign, set_state
from annotation.services.completions import request_answers, request_completions
from annotation.services.progress import campaign_progress
from annotation.services.prompts import add_prompts
from annotation.services.rater_groups import put_in_group
from annotation.services.rules import change_rules, set_limit, set_priority
from annotation.services.snapshot import freeze_snapshot
from registry.models import ModelVersion


def campaign_of(slug: str) -> Campaign:
    return get_object_or_404(Campaign.objects.select_related("created_by"), slug=slug)


class CampaignsView(ListAPIView[Campaign]):
    capability = Capability.STUDY
    write_capability = Capability.MANAGE
    serializer_class = shapes.CampaignSerializer
    queryset = Campaign.objects.select_related("created_by")

    @extend_schema(request=shapes.NewCampaignSerializer, responses={201: shapes.CampaignSerializer})
    def post(self, request: Request) -> Response:
        given = checked(shapes.NewCampaignSerializer, request.data)
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
        changes = checked(shapes.RulesSerializer, request.data)
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

    @extend_schema(request=shapes.MemberChangeSerializer, responses=shapes.MemberSerializer)
    @transaction.atomic
    def patch(self, request: Request, slug: str, username: str) -> Response:
        campaign, rater = campaign_of(slug), get_object_or_404(User, username=username)
        changes, user = checked(shapes.MemberChangeSerializer, request.data), signed_in(request)
        if "most_rankings" in changes:
            set_limit(campaign, rater=rater, most=changes["most_rankings"], user=user)
        if "group" in changes:
            put_in_group(campaign, rater=rater, group=changes["group"], user=user)
        member = get_object_or_404(Membership.objects.select_related("user"), campaign=campaign, user=rater)
        return Response(shapes.MemberSerializer(member).data)


class PriorityView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.PrioritySerializer, responses=shapes.MovedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        given = checked(shapes.PrioritySerializer, request.data)
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
        to = checked(shapes.StateSerializer, request.data)["to"]
        return Response(shapes.CampaignSerializer(set_state(campaign_of(slug), to=to, user=signed_in(request))).data)


class PromptsView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.PromptsSerializer, responses=shapes.AddedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        rows = checked(shapes.PromptsSerializer, request.data)["rows"]
        return Response(asdict(add_prompts(campaign_of(slug), rows=rows, user=signed_in(request))))


class CompletionsView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.RequestSerializer, responses={201: shapes.StartedSerializer})
    def post(self, request: Request, slug: str) -> Response:
        given = checked(shapes.RequestSerializer, request.data)
        campaign, user, recipe = campaign_of(slug), signed_in(request), given["recipe"]
        if given["method"] == "ask":
            run = request_answers(campaign, user=user, recipe=recipe)
        else:
            model = get_object_or_404(ModelVersion.objects.select_related("artifact"), name=given["model"])
            run = request_completions(campaign, model=model, user=user, recipe=recipe)
        return Response(shapes.StartedSerializer(run).data, status=201)


class SnapshotView(APIView):
    capability = Capability.STUDY

    @extend_schema(request=shapes.SnapshotSerializer, responses={201: shapes.FrozenSerializer})
    def post(self, request: Request, slug: str) -> Response:
        given = checked(shapes.SnapshotSerializer, request.data)
        campaign = campaign_of(slug)
        feedback = feedback_named(campaign, given.pop("ai_rater", None))
        made = freeze_snapshot(campaign, user=signed_in(request), feedback=feedback, **given)
        return Response(shapes.FrozenSerializer(made).data, status=201)
