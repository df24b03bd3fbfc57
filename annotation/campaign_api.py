"""The API of those who run a campaign, beside `api_views`: imports with a dry run, clones, invitations."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import checked
from accounts.models import Capability
from annotation import serializers as shapes
from annotation.api_views import campaign_of
from annotation.models import Invitation
from annotation.services.cloning import clone_campaign
from annotation.services.imports import bring_upload
from annotation.services.invitations import invite, revoke


class ImportsView(APIView):
    """Checks a file, and imports it where that is asked for: all of it, or none of it."""

    capability = Capability.MANAGE
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request={"multipart/form-data": shapes.FileImportSerializer},
        responses={200: shapes.ReportSerializer, 201: shapes.ReportSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = checked(shapes.FileImportSerializer, request.data)
        report = bring_upload(
            campaign_of(slug), given["file"], user=signed_in(request), format=given.get("format", ""),
            is_simulated=given["is_simulated"], is_dry=given["dry_run"], leaves_bad_out=given["leave_bad_out"],
        )  # fmt: skip
        return Response(shapes.ReportSerializer(report).data, status=200 if given["dry_run"] else 201)


class CloneView(APIView):
    capability = Capability.MANAGE

    @extend_schema(request=shapes.CloneSerializer, responses={201: shapes.CampaignSerializer})
    def post(self, request: Request, slug: str) -> Response:
        given = checked(shapes.CloneSerializer, request.data)
        made = clone_campaign(campaign_of(slug), user=signed_in(request), **given)
        return Response(shapes.CampaignSerializer(made).data, status=201)


class InvitationsView(ListAPIView[Invitation]):
    capability = Capability.MANAGE
    serializer_class = shapes.InvitationSerializer

    def get_queryset(self) -> QuerySet[Invitation]:
        if getattr(self, "swagger_fake_view", False):  # the schema is made without a request
            return Invitation.objects.none()
        return campaign_of(self.kwargs["slug"]).invitations.all()

    @extend_schema(request=shapes.NewInvitationSerializer, responses={201: shapes.InvitedSerializer})
    def post(self, request: Request, slug: str) -> Response:
        given = checked(shapes.NewInvitationSerializer, request.data)
        made, token = invite(campaign_of(slug), user=signed_in(request), **given)
        made.link = request.build_absolute_uri(reverse("join", args=[token]))  # type: ignore[attr-defined]
        return Response(shapes.InvitedSerializer(made).data, status=201)


class RevokeView(APIView):
    """Revoking twice is revoking once."""

    capability = Capability.MANAGE

    @extend_schema(request=None, responses=shapes.InvitationSerializer)
    def post(self, request: Request, slug: str, pk: int) -> Response:
        invitation = get_object_or_404(Invitation.objects.select_related("campaign"), pk=pk, campaign__slug=slug)
        revoke(invitation, user=signed_in(request))
        invitation.refresh_from_db()
        return Response(shapes.InvitationSerializer(invitation).data)
