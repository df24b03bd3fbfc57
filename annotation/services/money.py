"""What ranking costs, and the budget that stops it: the most that a lease may cost is put aside before it is given.

Under any number of raters at once, what is spent and what is put aside stay within the budget: both change in one row, the
campaign's purse, which is locked last and which a constraint holds to its budget.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from django.db.models import F, Q
from django.utils.translation import gettext

from accounts.errors import Conflict
from accounts.models import User
from annotation.models import Assignment, Campaign, Per, Purse, Tariff
from annotation.models.money import PLACES, UNITS

QUANTUM = Decimal(1).scaleb(-PLACES)


class BudgetSpent(Conflict):
    """Raters are told this sentence; admins see the purse."""

    code = "budget_spent"


def units_of(amount: Decimal) -> int:
    """Whole ten-thousandths; the caller has checked that there are no smaller parts."""
    return int(amount.scaleb(PLACES))


def amount_of(units: int) -> Decimal:
    return Decimal(units).scaleb(-PLACES).quantize(QUANTUM)


def due(tariff: Tariff, *, seconds: float | None) -> int:
    """Units for one ranking: its price, or its active seconds as far as they are paid, rounded half up.

    A browser that doesn't say how long it took costs nothing where time is paid.
    """
    if tariff.per == Per.RANKING:
        return units_of(tariff.price)
    paid = min(Decimal(seconds or 0.0), Decimal(tariff.most_seconds))
    return int((tariff.price * UNITS * paid / 3600).to_integral_value(rounding=ROUND_HALF_UP))


def most_of(tariff: Tariff) -> int:
    return due(tariff, seconds=float(tariff.most_seconds))


def tariff_of(campaign_id: int) -> Tariff | None:
    """The one in force."""
    return Tariff.objects.filter(campaign=campaign_id).order_by("-number").first()


def reserve(campaign: Campaign, *, rater: User) -> Tariff | None:
    """Puts aside the most that a lease may cost, within the caller's transaction. Raises `BudgetSpent`.

    The condition is in the UPDATE, so of two that ask at once for what is left one gets it. Programs cost nothing.
    """
    # A tariff comes with its purse, which the campaign was read with.
    tariff = tariff_of(campaign.pk) if hasattr(campaign, "purse") and not rater.is_simulated else None
    if tariff is None:
        return None
    most = most_of(tariff)
    fits = Q(budget__isnull=True) | Q(budget__gte=F("spent") + F("reserved") + most)
    if Purse.objects.filter(fits, campaign=campaign).update(reserved=F("reserved") + most) != 1:
        raise BudgetSpent(
            gettext("%(campaign)s gives out no more tasks for now: its budget is used up or spoken for.")
            % {"campaign": campaign.name}
        )
    return tariff


def release(assignment: Assignment) -> None:
    """Gives back what was put aside for a lease that ends without a ranking."""
    if assignment.tariff_id is not None:
        settle_units(assignment, put_aside=most_of(reserved_under(assignment)), cost=0)


def settle(assignment: Assignment, *, was_live: bool, seconds: float | None) -> int:
    """What a ranking costs, taken from the purse, in units.

    What came within its lease is paid as it is due. What came after it, when nothing was put aside any more, is paid as far
    as the budget has room beside the leases that are live.
    """
    if assignment.rater.is_simulated or not hasattr(assignment.slot.campaign, "purse"):
        return 0
    if was_live and assignment.tariff_id is not None:
        tariff = reserved_under(assignment)
        cost = due(tariff, seconds=seconds)
        settle_units(assignment, put_aside=most_of(tariff), cost=cost)
        return cost
    late = tariff_of(assignment.slot.campaign_id)
    if late is None:
        return 0
    purse = Purse.objects.select_for_update().get(campaign=assignment.slot.campaign_id)
    cost = due(late, seconds=seconds)
    if purse.budget is not None:
        cost = min(cost, purse.budget - purse.spent - purse.reserved)
    settle_units(assignment, put_aside=0, cost=cost)
    return cost


def settle_units(assignment: Assignment, *, put_aside: int, cost: int) -> None:
    changed = Purse.objects.filter(campaign=assignment.slot.campaign_id).update(
        reserved=F("reserved") - put_aside, spent=F("spent") + cost
    )
    assert changed == 1  # a tariff comes with its purse


def reserved_under(assignment: Assignment) -> Tariff:
    assert assignment.tariff is not None
    return assignment.tariff
