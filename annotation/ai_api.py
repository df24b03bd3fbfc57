"""The API of a campaign's AI feedback: who judged and what of it counts, asking for some, and giving people the rest."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import checked
from accounts.models import Capability
from annotation import ai_serializers as shapes
from annotation.api_views import campaign_of
from annotation.serializers import StartedSerializer
from annotation.services.ai_judgements import request_judgements
from annotation.services.ai_labels import feedback_named
from annotation.services.ai_overview import judges_of, send_rest, set_people_share
from registry.services.named import dataset_called, model_called


class FeedbackView(APIView):
    """The feedback models that judged a campaign, each with its gate. Raters have no such address."""

    capability = Capability.STUDY
    write_capability = Capability.MANAGE

    @extend_schema(responses=shapes.FeedbackSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        return Response(shapes.FeedbackSerializer(judges_of(campaign_of(slug)), many=True).data)

    @extend_schema(request=shapes.AskFeedbackSerializer, responses={201: StartedSerializer})
    def post(self, request: Request, slug: str) -> Response:
        campaign, given = campaign_of(slug), checked(shapes.AskFeedbackSerializer, request.data)
        run = request_judgements(
            campaign, constitution=dataset_called(given["constitution"]),
            model=model_called(given["model"]) if given["model"] else None,
            recipe=given["recipe"], preset=given["preset"], user=signed_in(request),
        )  # fmt: skip
        return Response(StartedSerializer(run).data, status=201)

    @extend_schema(request=shapes.PeopleShareSerializer, responses=shapes.PeopleShareSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        share = checked(shapes.PeopleShareSerializer, request.data)["people_share"]
        set_people_share(campaign_of(slug), share=share, user=signed_in(request))
        return Response({"people_share": share})


class RestView(APIView):
    """Gives people the tasks that the gate holds back, and those that the feedback model abstained from."""

    capability = Capability.MANAGE

    @extend_schema(request=shapes.RestSerializer, responses=shapes.SentToPeopleSerializer)
    def post(self, request: Request, slug: str) -> Response:
        campaign = campaign_of(slug)
        rater = feedback_named(campaign, checked(shapes.RestSerializer, request.data)["rater"])
        assert rater is not None  # the name is not empty
        return Response({"num_tasks": send_rest(campaign, rater=rater, user=signed_in(request))})
