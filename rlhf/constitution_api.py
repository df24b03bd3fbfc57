"""The API of constitutions: what there is, a version as a document, documents in, and a draft published."""

from __future__ import annotations

from django.db.models import Count, Prefetch, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import checked
from accounts.models import Capability
from rlhf.constitution_desk import draft_of
from rlhf.constitution_serializers import ConstitutionSerializer, DocumentSerializer, PublishSerializer
from rlhf.constitution_views import download, version_of
from rlhf.models import Constitution, ConstitutionVersion
from rlhf.services.constitutions.documents import import_document, read_document
from rlhf.services.constitutions.publishing import publish


class ConstitutionsView(ListAPIView[Constitution]):
    """All constitutions, the newest first. A document that is posted becomes a draft."""

    capability = Capability.STUDY
    write_capability = Capability.MANAGE
    serializer_class = ConstitutionSerializer

    def get_queryset(self) -> QuerySet[Constitution]:
        return with_versions()

    @extend_schema(request=DocumentSerializer, responses={201: ConstitutionSerializer})
    def post(self, request: Request) -> Response:
        brought = import_document(read_document(request.data), user=signed_in(request))
        told = told_of(brought.version.constitution.slug)
        return Response(told, status=201 if brought.is_new else 200)


class ConstitutionView(APIView):
    capability = Capability.STUDY

    @extend_schema(responses=ConstitutionSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(told_of(slug))


class VersionView(APIView):
    """A version as the document that an import takes back."""

    capability = Capability.STUDY

    @extend_schema(responses=DocumentSerializer)
    def get(self, request: Request, slug: str, number: int) -> HttpResponse:
        return download(version_of(slug, number))


class PublishView(APIView):
    """Freezes the draft as a dataset, if it is still the one that was read."""

    capability = Capability.MANAGE

    @extend_schema(
        request=PublishSerializer,
        responses={200: ConstitutionSerializer, 409: OpenApiResponse(description="Saved or published meanwhile.")},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = checked(PublishSerializer, request.data)
        publish(draft_of(slug), seen=given["edits"], user=signed_in(request), dataset_name=given["dataset"])
        return Response(told_of(slug))


def with_versions() -> QuerySet[Constitution]:
    versions = ConstitutionVersion.objects.select_related("dataset", "edited_by", "published_by")
    counted = versions.annotate(num_principles=Count("principles")).order_by("-number")
    return Constitution.objects.select_related("created_by").prefetch_related(Prefetch("versions", counted))


def told_of(slug: str) -> object:
    return ConstitutionSerializer(get_object_or_404(with_versions(), slug=slug)).data
