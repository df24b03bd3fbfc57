"""The API of a campaign's statistics and costs: the same figures as on its pages and from `manage.py agreement`."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in
from accounts.api import StrictSerializer, checked
from accounts.models import Capability
from annotation.api_views import campaign_of
from annotation.models import Per
from annotation.services.figures import figures_of
from annotation.services.tariffs import DEFAULT_MOST_SECONDS, costs_of, set_tariff

Plain = serializers.Serializer[Any]


class MeasureSerializer(Plain):
    """`value` is null where the figure is undefined, and `why` says so; `why` beside a value says why it has no interval."""

    value = serializers.FloatField(allow_null=True)
    num = serializers.IntegerField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    why = serializers.CharField()


class FiguresSerializer(Plain):
    pairwise = MeasureSerializer()
    alpha = MeasureSerializer()
    tau_b = MeasureSerializer()
    w = MeasureSerializer()
    majority = MeasureSerializer(required=False, help_text="not for pairs of raters and for groups of rankings")


class AgreementSerializer(Plain):
    num_rankings = serializers.IntegerField()
    num_tasks = serializers.IntegerField(help_text="ranked by two or more")
    figures = FiguresSerializer()


class GroupSerializer(Plain):
    name = serializers.CharField()
    agreement = AgreementSerializer()


class ReliabilitySerializer(Plain):
    rater = serializers.CharField()
    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    num_comparisons = serializers.IntegerField()


class FindingSerializer(Plain):
    rater = serializers.CharField()
    kind = serializers.CharField()
    effect = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    num = serializers.IntegerField()
    p = serializers.FloatField(allow_null=True)
    adjusted = serializers.FloatField(allow_null=True)
    is_flagged = serializers.BooleanField()
    sentence = serializers.CharField()


class RaterSerializer(Plain):
    rater = serializers.CharField()
    agreement = AgreementSerializer()
    reliability = ReliabilitySerializer(allow_null=True)
    sharpness = MeasureSerializer(allow_null=True)
    position = FindingSerializer(allow_null=True)
    length = FindingSerializer(allow_null=True)
    haste = FindingSerializer(allow_null=True)
    seconds = MeasureSerializer()
    num_rankings = serializers.IntegerField()
    gold = MeasureSerializer(
        help_text="credit on tasks whose right order is known, over first answers; num counts pairs"
    )


class PairSerializer(Plain):
    raters = serializers.ListField(child=serializers.CharField(), min_length=2, max_length=2)
    agreement = AgreementSerializer()


class ModelScoreSerializer(Plain):
    model = serializers.CharField()
    score = MeasureSerializer()
    majority = MeasureSerializer()
    dawid_skene = MeasureSerializer()


class BiasSerializer(Plain):
    kind = serializers.CharField()
    share = MeasureSerializer()
    flagged = serializers.ListField(child=serializers.CharField())


class DaySerializer(Plain):
    day = serializers.DateField()
    num = serializers.IntegerField()
    seconds = serializers.FloatField()


@extend_schema_field(serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2))
class ClassField(serializers.Field[Any, Any, Any, Any]):
    """Seconds from, and answers."""


class PaceSerializer(Plain):
    num = serializers.IntegerField()
    days = DaySerializer(many=True)
    by_hour = serializers.ListField(child=serializers.IntegerField(), min_length=24, max_length=24)
    median_seconds = MeasureSerializer()
    lower_quartile = serializers.FloatField(allow_null=True)
    upper_quartile = serializers.FloatField(allow_null=True)
    per_active_hour = serializers.FloatField(allow_null=True)
    classes = serializers.ListField(child=ClassField())


class PartSerializer(Plain):
    num_rankings = serializers.IntegerField()
    num_without_order = serializers.IntegerField()
    num_tasks = serializers.IntegerField()
    overall = AgreementSerializer()
    raters = RaterSerializer(many=True)
    pairs = PairSerializer(many=True)
    num_pairs_of_raters = serializers.IntegerField()
    days = GroupSerializer(many=True)
    kinds = GroupSerializer(many=True)
    guidelines = GroupSerializer(many=True)
    models = ModelScoreSerializer(many=True)
    position = MeasureSerializer()
    length = MeasureSerializer()
    is_settled = serializers.BooleanField()
    biases = BiasSerializer(many=True)
    pace = PaceSerializer()


class WallSerializer(Plain):
    num_tasks = serializers.IntegerField()
    num_done = serializers.IntegerField()
    num_leased = serializers.IntegerField()
    num_waiting = serializers.IntegerField()
    tasks_a_cell = serializers.IntegerField()
    cells = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))


class CountedSerializer(Plain):
    campaign = serializers.CharField()
    resamples = serializers.IntegerField()
    people = PartSerializer(allow_null=True)
    programs = PartSerializer(allow_null=True)
    wall = WallSerializer()


class StatisticsSerializer(Plain):
    """`report` is null until a worker has counted; where it is not current, newer figures are being counted."""

    counted_at = serializers.DateTimeField(allow_null=True)
    is_current = serializers.BooleanField()
    is_counting = serializers.BooleanField()
    failure = serializers.CharField()
    report = CountedSerializer(allow_null=True)


class StatisticsView(APIView):
    capability = Capability.STUDY

    @extend_schema(responses=StatisticsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        shown = asdict(figures_of(campaign_of(slug)))
        return Response(
            {name: shown[name] for name in ("counted_at", "is_current", "is_counting", "failure", "report")}
        )


class MoneyField(serializers.DecimalField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=16, decimal_places=4, **kwargs)


class CostsSerializer(Plain):
    currency = serializers.CharField()
    price = MoneyField(allow_null=True)
    per = serializers.CharField()
    most_seconds = serializers.IntegerField(allow_null=True)
    budget = MoneyField(allow_null=True)
    spent = MoneyField()
    reserved = MoneyField()
    left = MoneyField(allow_null=True)
    next_lease = MoneyField(allow_null=True)
    num_rankings = serializers.IntegerField()
    num_comparisons = serializers.IntegerField()
    per_ranking = MoneyField(allow_null=True)
    per_comparison = MoneyField(allow_null=True)
    is_stopped = serializers.BooleanField()


class TariffSerializer(StrictSerializer):
    per = serializers.ChoiceField(choices=Per.choices)
    price = MoneyField(min_value=Decimal(0))
    currency = serializers.CharField(min_length=3, max_length=3)
    most_seconds = serializers.IntegerField(default=DEFAULT_MOST_SECONDS)
    budget = MoneyField(allow_null=True, default=None, min_value=Decimal(0))


class CostsView(APIView):
    """What ranking costs. A new price holds for leases given from then on."""

    capability = Capability.MANAGE

    @extend_schema(responses=CostsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(CostsSerializer(costs_of(campaign_of(slug))).data)

    @extend_schema(request=TariffSerializer, responses=CostsSerializer)
    def put(self, request: Request, slug: str) -> Response:
        made = set_tariff(campaign_of(slug), user=signed_in(request), **checked(TariffSerializer, request.data))
        return Response(CostsSerializer(made).data)
