"""The API of models and datasets: what there is, its rows and its descent; import, export, upload, and moving names."""

from __future__ import annotations

import dataclasses
import uuid
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import Pages, StrictSerializer, checked
from accounts.errors import NotFound
from accounts.models import Capability, User
from registry.models import Alias, DatasetKind, DatasetVersion, ModelRole, ModelVersion
from registry.serializers import (
    AliasSerializer,
    DatasetDetailSerializer,
    DatasetSerializer,
    FilesSerializer,
    GraphSerializer,
    ImportSerializer,
    ModelDetailSerializer,
    ModelSerializer,
    MoveSerializer,
    RowsAsked,
    RowsSerializer,
    UploadSerializer,
)
from registry.services.datasets import import_dataset, read_rows
from registry.services.export import FORMATS, formats_of, stream_export
from registry.services.lineage import lineage_of
from registry.services.models import move_alias
from registry.services.named import model_called
from registry.services.uploads import received, stage_upload
from registry.services.zips import ZipDownload


class ModelsFilter(StrictSerializer):
    role = serializers.ChoiceField(choices=ModelRole.choices, required=False)
    cursor = serializers.CharField(required=False)
    page_size = serializers.IntegerField(required=False)


class DatasetsFilter(StrictSerializer):
    kind = serializers.ChoiceField(choices=DatasetKind.choices, required=False)
    cursor = serializers.CharField(required=False)
    page_size = serializers.IntegerField(required=False)


class AliasesByName(Pages):
    ordering = ("name",)


@extend_schema(parameters=[OpenApiParameter("role", OpenApiTypes.STR, enum=ModelRole.values)])
class ModelsView(ListAPIView[ModelVersion]):
    """All models, the newest first."""

    capability = Capability.STUDY
    serializer_class = ModelSerializer
    queryset = ModelVersion.objects.select_related("base", "created_by")

    def get_queryset(self) -> QuerySet[ModelVersion]:
        asked = checked(ModelsFilter, self.request.query_params.dict())
        return super().get_queryset().filter(**{name: asked[name] for name in asked if name == "role"})


class ModelView(APIView):
    capability = Capability.STUDY

    @extend_schema(responses=ModelDetailSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        models = ModelVersion.objects.select_related("base", "created_by", "artifact")
        model = get_object_or_404(models.prefetch_related("parents", "datasets", "aliases"), pk=pk)
        return Response(ModelDetailSerializer(model).data)


@extend_schema(parameters=[OpenApiParameter("kind", OpenApiTypes.STR, enum=DatasetKind.values)])
class DatasetsView(ListAPIView[DatasetVersion]):
    """All datasets, the newest first."""

    capability = Capability.STUDY
    serializer_class = DatasetSerializer
    queryset = DatasetVersion.objects.select_related("created_by")

    def get_queryset(self) -> QuerySet[DatasetVersion]:
        asked = checked(DatasetsFilter, self.request.query_params.dict())
        return super().get_queryset().filter(**{name: asked[name] for name in asked if name == "kind"})


class DatasetView(APIView):
    capability = Capability.STUDY

    @extend_schema(responses=DatasetDetailSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        datasets = DatasetVersion.objects.select_related("created_by", "artifact")
        dataset = get_object_or_404(datasets.prefetch_related("parents", "models_used"), pk=pk)
        return Response(detail_of(dataset))


class DatasetRowsView(APIView):
    """Rows in the order in which they were frozen, some at a time."""

    capability = Capability.STUDY

    @extend_schema(parameters=[RowsAsked], responses=RowsSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        dataset = get_object_or_404(DatasetVersion.objects.select_related("artifact"), pk=pk)
        asked = checked(RowsAsked, request.query_params.dict())
        split, offset = asked["split"], asked["offset"]
        rows = read_rows(dataset, split=split, limit=offset + asked["limit"])
        told = {
            "split": split,
            "offset": offset,
            "num_rows": dataset.splits.get(split, 0),
            "rows": [*islice(rows, offset, None)],
        }
        return Response(told)


class DatasetExportView(APIView):
    """The dataset as a zip with its card; `datasets.load_dataset` opens the unpacked folder."""

    capability = Capability.STUDY

    @extend_schema(
        parameters=[OpenApiParameter("fmt", OpenApiTypes.STR, OpenApiParameter.PATH, enum=FORMATS)],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: uuid.UUID, fmt: str) -> ZipDownload:
        dataset = get_object_or_404(DatasetVersion.objects.select_related("artifact"), pk=pk)
        return stream_export(dataset, fmt=fmt, user=user_of(request))


class DatasetImportView(APIView):
    """Imports a file: all of its rows or none, bad ones told by line."""

    capability = Capability.STUDY
    parser_classes = (MultiPartParser,)

    @extend_schema(request={"multipart/form-data": ImportSerializer}, responses={201: DatasetDetailSerializer})
    def post(self, request: Request) -> Response:
        given = checked(ImportSerializer, form_of(request).dict())
        with received([given["file"]]) as folder:
            dataset = import_dataset(
                given["name"],
                next(folder.iterdir()),
                kind=given["kind"],
                user=user_of(request),
                licence=given["licence"],
            )
        return Response(detail_of(dataset), status=201)


class UploadsView(APIView):
    """Takes in the files of a model. Start a run of `import_model` with the artifact to check and store it."""

    capability = Capability.MANAGE
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request={"multipart/form-data": FilesSerializer},
        responses={201: UploadSerializer, 400: OpenApiResponse(description="No model, or one that could run code.")},
    )
    def post(self, request: Request) -> Response:
        given = checked(FilesSerializer, dict(form_of(request).lists()))
        with received(given["files"]) as folder:
            return Response(UploadSerializer(stage_upload(folder)).data, status=201)


class AliasesView(ListAPIView[Alias]):
    """The names that move between models."""

    capability = Capability.STUDY
    write_capability = Capability.MANAGE
    serializer_class = AliasSerializer
    pagination_class = AliasesByName
    queryset = Alias.objects.select_related("model")

    @extend_schema(
        request=MoveSerializer,
        responses={
            200: AliasSerializer,
            409: OpenApiResponse(description="Moved meanwhile, or something speaks against the model."),
        },
    )
    def post(self, request: Request) -> Response:
        given = checked(MoveSerializer, request.data)
        expected = None if given["expected"] is None else model_called(given["expected"])
        alias = move_alias(
            given["name"],
            model=model_called(given["model"]),
            user=user_of(request),
            expected=expected,
            despite_objection=given["despite_objection"],
        )
        return Response(AliasSerializer(alias).data)


class LineageView(APIView):
    """All that a model or dataset was made from, and all that was made from it."""

    capability = Capability.STUDY

    @extend_schema(
        parameters=[OpenApiParameter("kind", OpenApiTypes.STR, OpenApiParameter.PATH, enum=["model", "dataset"])],
        responses=GraphSerializer,
    )
    def get(self, request: Request, kind: str, pk: uuid.UUID) -> Response:
        if kind == "model":
            return graph(get_object_or_404(ModelVersion, pk=pk))
        if kind == "dataset":
            return graph(get_object_or_404(DatasetVersion, pk=pk))
        raise NotFound(gettext("There is no lineage of a %(kind)s.") % {"kind": kind})


def graph(thing: ModelVersion | DatasetVersion) -> Response:
    return Response(dataclasses.asdict(lineage_of(thing)))


def detail_of(dataset: DatasetVersion) -> dict[str, Any]:
    shown: dict[str, Any] = DatasetDetailSerializer(dataset).data
    return {**shown, "formats": [fmt for fmt, _ in formats_of(dataset)]}


def form_of(request: Request) -> QueryDict:
    assert isinstance(request.data, QueryDict)  # the parser reads nothing else
    return request.data


def user_of(request: Request) -> User:
    assert isinstance(request.user, User)  # the permission has let nobody else through
    return request.user
