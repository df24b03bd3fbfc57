"""What ranking costs: tariffs, kept for ever since leases name them, and the purse that a campaign may not overdraw.

Money is counted in whole ten-thousandths of a currency's unit, so that sums are exact on every database.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.campaigns import Campaign

PLACES = 4
UNITS = 10**PLACES  # in one unit of currency


class Per(models.TextChoices):
    HOUR = "hour", _("an hour")
    RANKING = "ranking", _("a ranking")


class Tariff(models.Model):
    """One price of a campaign. Work is paid by the tariff under which its task was given out."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="tariffs")
    number = models.PositiveIntegerField()
    per = models.CharField(max_length=8, choices=Per)
    price = models.DecimalField(max_digits=12, decimal_places=PLACES)
    currency = models.CharField(max_length=3)  # ISO 4217
    most_seconds = models.PositiveIntegerField()  # of one ranking that are paid, where time is
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["campaign", "number"], name="one_tariff_of_a_number"),
            models.CheckConstraint(condition=models.Q(price__gte=Decimal(0)), name="a_price_is_not_negative"),
            models.CheckConstraint(condition=models.Q(most_seconds__gte=1), name="a_second_or_more_is_paid"),
        ]


class Purse(models.Model):
    """What a campaign may spend, what it has spent, and what live leases may cost at most; all in `UNITS`."""

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="purse")
    budget = models.BigIntegerField(null=True)  # none: no bound
    spent = models.BigIntegerField(default=0)  # the sum of `Ranking.cost`
    reserved = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(budget__isnull=True)
                | models.Q(budget__gte=models.F("spent") + models.F("reserved")),
                name="a_purse_is_not_overdrawn",
            ),
            models.CheckConstraint(condition=models.Q(spent__gte=0, reserved__gte=0), name="a_purse_holds_no_debt"),
        ]
