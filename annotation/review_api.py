"""The API of reviewers: disagreements first, orders settled, remarks to raters, appeals; what the review pages do."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import Pages, checked
from accounts.models import Capability
from annotation import review_serializers as shapes
from annotation.api_views import campaign_of
from annotation.models import Adjudication, Appeal, AppealState, Ranking, RankingTask, TaskKind
from annotation.quality_serializers import GoldSerializer
from annotation.services.gold import USES, make_gold, tiers_typed
from annotation.services.quality_rows import gold_rows, golds_for_rows
from annotation.services.review import adjudicate, disputed, disputes, remark, unsettle
from annotation.services.standing import decide


def work(pk: uuid.UUID) -> RankingTask:
    """Of a check, reviewers know nothing here."""
    found = RankingTask.objects.select_related("campaign", "prompt").filter(kind=TaskKind.WORK)
    return get_object_or_404(found, pk=pk)


class LeastAgreement(Pages):
    ordering = ("agreement", "pk")


class OldestFirst(Pages):
    ordering = ("created_at", "pk")


class DisagreementsView(ListAPIView[RankingTask]):
    """Tasks of work that two or more have ordered, those on which they agree least first."""

    capability = Capability.REVIEW
    pagination_class = LeastAgreement
    serializer_class = shapes.DisputeSerializer

    def get_queryset(self) -> QuerySet[RankingTask]:
        if getattr(self, "swagger_fake_view", False):  # the schema is made without a request
            return RankingTask.objects.none()
        given = checked(shapes.DisputesAskedSerializer, self.request.query_params.dict())
        campaign = campaign_of(given["campaign"]) if "campaign" in given else None
        return disputed(campaign, shows_settled=given["settled"])

    @extend_schema(parameters=[shapes.DisputesAskedSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(shapes.DisputeSerializer(disputes(page), many=True).data)


class DisagreementView(APIView):
    """One task with its texts and all that was said of it."""

    capability = Capability.REVIEW

    @extend_schema(responses=shapes.WholeDisputeSerializer)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        (dispute,) = disputes([work(pk)])
        return Response(shapes.WholeDisputeSerializer(dispute).data)


class AdjudicationsView(APIView):
    """Settles the order of a task: snapshots take it in place of all rankings of that task."""

    capability = Capability.REVIEW

    @extend_schema(request=shapes.NewAdjudicationSerializer, responses={201: shapes.AdjudicationSerializer})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        task, given = work(pk), checked(shapes.NewAdjudicationSerializer, request.data)
        over = get_object_or_404(Adjudication, pk=given["over"], task=task) if given["over"] else None
        made = adjudicate(task, line=given["order"], reason=given["reason"], user=signed_in(request), over=over)
        return Response(shapes.AdjudicationSerializer(made).data, status=201)


class WithdrawalView(APIView):
    """Takes a settled order back: the raters' own rankings count again."""

    capability = Capability.REVIEW

    @extend_schema(request=None, responses=shapes.AdjudicationSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        settled = get_object_or_404(Adjudication.objects.select_related("task__campaign", "by"), pk=pk)
        unsettle(settled.task, seen=settled, user=signed_in(request))
        settled.refresh_from_db(fields=["is_live"])
        return Response(shapes.AdjudicationSerializer(settled).data)


class TaskGoldView(APIView):
    """Makes gold or a test task of a task, with the order that is told; its rankings stay work."""

    capability = Capability.REVIEW

    @extend_schema(request=shapes.NewGoldSerializer, responses={201: GoldSerializer})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        task, given = work(pk), checked(shapes.NewGoldSerializer, request.data)
        made = make_gold(
            task, tiers=tiers_typed(given["order"], task=task), explanation=given["explanation"],
            kind=USES[given["use"]], user=signed_in(request),
        )  # fmt: skip
        (row,) = gold_rows(list(golds_for_rows(task.campaign).filter(pk=made.pk)))
        return Response(GoldSerializer(row).data, status=201)


class RemarksView(APIView):
    """Writes to the rater of a ranking, or returns it to her."""

    capability = Capability.REVIEW

    @extend_schema(request=shapes.NewRemarkSerializer, responses={201: shapes.RemarkSerializer})
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        given = checked(shapes.NewRemarkSerializer, request.data)
        of_work = Ranking.objects.select_related("task__campaign").filter(task__kind=TaskKind.WORK)
        made = remark(get_object_or_404(of_work, pk=pk), user=signed_in(request), **given)
        return Response(shapes.RemarkSerializer(made).data, status=201)


def appeals() -> QuerySet[Appeal]:
    return Appeal.objects.select_related(
        "pause__membership__campaign", "pause__membership__user", "pause__by", "decided_by"
    )


class AppealsView(ListAPIView[Appeal]):
    """Those that nobody has answered, unless another state is asked for; the oldest first."""

    capability = Capability.REVIEW
    pagination_class = OldestFirst
    serializer_class = shapes.AppealSerializer

    def get_queryset(self) -> QuerySet[Appeal]:
        if getattr(self, "swagger_fake_view", False):
            return Appeal.objects.none()
        given = checked(shapes.AppealsAskedSerializer, self.request.query_params.dict())
        found = appeals().filter(state=given["state"])
        return (
            found.filter(pause__membership__campaign=campaign_of(given["campaign"])) if "campaign" in given else found
        )

    @extend_schema(parameters=[shapes.AppealsAskedSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class DecisionView(APIView):
    """Lets a rater go on, or lets her pause stay. Nobody decides her own appeal."""

    capability = Capability.REVIEW

    @extend_schema(request=shapes.DecisionSerializer, responses=shapes.AppealSerializer)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        appeal, given = get_object_or_404(appeals(), pk=pk), checked(shapes.DecisionSerializer, request.data)
        decide(appeal, lifts=given["to"] == AppealState.LIFTED, answer=given["answer"], user=signed_in(request))
        return Response(shapes.AppealSerializer(appeals().get(pk=pk)).data)
