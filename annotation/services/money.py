"""What ranking costs, and the budget that stops it: the most that a lease may cost is put aside before it is given.

Under any number of raters at once, what is spent and what is put aside stay within the budget: both change in one row, the
campaign's purse, which is locked last and which a constraint holds to its budget.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext, gettext_noop

from accounts.errors import Conflict, UserError
from accounts.hints import hint
from accounts.models import User
from accounts.numbers import whole
from annotation.models import Assignment, Campaign, Per, Purse, Ranking, Tariff, TaskKind
from annotation.models.money import PLACES, UNITS
from audit.services import record

MOST_PRICE = Decimal("99999999")
MOST_SECONDS = 24 * 60 * 60
DEFAULT_MOST_SECONDS = 15 * 60
QUANTUM = Decimal(1).scaleb(-PLACES)
OF_PRICES = (
    gettext_noop("A price is between 0 and %(most)s."),
    gettext_noop("A price has at most %(most)s digits after the point."),
)
OF_BUDGETS = (
    gettext_noop("A budget is between 0 and %(most)s."),
    gettext_noop("A budget has at most %(most)s digits after the point."),
)


class BudgetSpent(Conflict):
    """Raters are told this sentence; admins see the purse."""

    code = "budget_spent"


class BadTariff(UserError):
    code = "bad_tariff"


class BudgetTooSmall(Conflict):
    code = "budget_too_small"


@dataclass(frozen=True, slots=True)
class Costs:
    """Money in the currency's unit, exact. `per_ranking` and `per_comparison` share all that is spent among the people's
    rankings of work, and the pairs with a preference in them, rounded to ten-thousandths; None where there is none.
    `next_lease` is the most that the next one may cost."""

    currency: str
    price: Decimal | None
    per: str
    most_seconds: int | None
    budget: Decimal | None
    spent: Decimal
    reserved: Decimal
    left: Decimal | None
    next_lease: Decimal | None
    num_rankings: int
    num_comparisons: int
    per_ranking: Decimal | None
    per_comparison: Decimal | None
    is_stopped: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of it, and the most that the next lease may cost; None where there is no bound, or no price."""

    currency: str
    left: Decimal | None
    next_lease: Decimal | None

    @property
    def is_stopped(self) -> bool:
        return self.left is not None and self.next_lease is not None and self.next_lease > self.left


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


def set_tariff(
    campaign: Campaign,
    *,
    per: str,
    price: Decimal,
    currency: str,
    user: User | None,
    most_seconds: int = DEFAULT_MOST_SECONDS,
    budget: Decimal | None = None,
) -> Costs:
    """A price for leases given from now on, and a budget for all. Raises `BadTariff`, `BudgetTooSmall`.

    What is given out keeps the price under which it was given.
    """
    check_tariff(per=per, price=price, currency=currency, most_seconds=most_seconds, budget=budget)
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # two admins at once get two numbers
        last = tariff_of(campaign.pk)
        if last is not None and last.currency != currency and campaign_has_spent(campaign):
            raise BadTariff(
                gettext("What was spent here was spent in %(currency)s: the currency stays.")
                % {"currency": last.currency},
                field="currency",
            )
        same = {"per": per, "price": price, "currency": currency, "most_seconds": most_seconds}
        if last is None or any(getattr(last, name) != value for name, value in same.items()):
            Tariff.objects.create(campaign=campaign, number=last.number + 1 if last else 1, created_by=user, **same)
        set_budget(campaign, budget=budget)
        told = {name: str(value) for name, value in same.items()} | {"budget": None if budget is None else str(budget)}
        record("campaign.tariff", actor=user, target=campaign, **told)
        hint(f"campaign:{campaign.pk}")
    return costs_of(campaign)


def campaign_has_spent(campaign: Campaign) -> bool:
    return Purse.objects.filter(Q(spent__gt=0) | Q(reserved__gt=0), campaign=campaign).exists()


def set_budget(campaign: Campaign, *, budget: Decimal | None) -> None:
    units = None if budget is None else units_of(budget)
    try:
        with transaction.atomic():
            Purse.objects.update_or_create(campaign=campaign, defaults={"budget": units})
    except IntegrityError as error:
        purse = Purse.objects.get(campaign=campaign)
        raise BudgetTooSmall(
            gettext(
                "%(spent)s is spent and %(reserved)s put aside for tasks on a desk: "
                "the budget can't be smaller than both."
            )
            % {"spent": amount_of(purse.spent), "reserved": amount_of(purse.reserved)},
            field="budget",
        ) from error


def check_tariff(*, per: str, price: Decimal, currency: str, most_seconds: int, budget: Decimal | None) -> None:
    if per not in Per.values:
        raise BadTariff(gettext("A price is per hour or ranking, not per %(per)s.") % {"per": per}, field="per")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise BadTariff(gettext("A currency is three capital letters, such as EUR."), field="currency")
    for name, amount, bound, digits in (("price", price, *OF_PRICES), ("budget", budget, *OF_BUDGETS)):
        if amount is None:
            continue
        if not amount.is_finite() or not 0 <= amount <= MOST_PRICE:
            raise BadTariff(gettext(bound) % {"most": whole(int(MOST_PRICE))}, field=name)
        if amount != amount.quantize(QUANTUM):
            raise BadTariff(gettext(digits) % {"most": PLACES}, field=name)
    if not 1 <= most_seconds <= MOST_SECONDS:
        raise BadTariff(
            gettext("1 to %(most)s seconds of a ranking are paid, not %(num)s.")
            % {"most": whole(MOST_SECONDS), "num": most_seconds},
            field="most_seconds",
        )


def budget_of(campaign: Campaign) -> Budget:
    return budget_in(Purse.objects.filter(campaign=campaign).first(), tariff=tariff_of(campaign.pk))


def budget_in(purse: Purse | None, *, tariff: Tariff | None) -> Budget:
    left = None if purse is None or purse.budget is None else purse.budget - purse.spent - purse.reserved
    return Budget(
        currency=tariff.currency if tariff else "",
        left=None if left is None else amount_of(left),
        next_lease=amount_of(most_of(tariff)) if tariff else None,
    )


def stopped_among(campaigns: Sequence[Campaign]) -> set[int]:
    """Which of them give out no task for want of money. One query where one has a budget; they come with their purses."""
    purses = {one.pk: one.purse for one in campaigns if hasattr(one, "purse") and one.purse.budget is not None}
    if not purses:
        return set()
    tariffs = {one.campaign_id: one for one in Tariff.objects.filter(campaign__in=purses).order_by("number")}
    return {pk for pk, purse in purses.items() if budget_in(purse, tariff=tariffs.get(pk)).is_stopped}


def costs_of(campaign: Campaign) -> Costs:
    """Read from the purse; what it has spent is the sum of the costs of the rankings, to the last unit."""
    tariff = tariff_of(campaign.pk)
    purse = Purse.objects.filter(campaign=campaign).first() or Purse(campaign=campaign)
    work = Ranking.objects.filter(
        task__campaign=campaign, task__kind=TaskKind.WORK, is_live=True, is_simulated=False
    )  # what tests and gold cost is part of what these do
    budget = budget_of(campaign)
    num_rankings, num_comparisons = work.count(), num_comparisons_in(work)
    return Costs(
        currency=tariff.currency if tariff else "",
        price=tariff.price if tariff else None,
        per=tariff.per if tariff else "",
        most_seconds=tariff.most_seconds if tariff else None,
        budget=None if purse.budget is None else amount_of(purse.budget),
        spent=amount_of(purse.spent),
        reserved=amount_of(purse.reserved),
        left=budget.left,
        next_lease=budget.next_lease,
        num_rankings=num_rankings,
        num_comparisons=num_comparisons,
        per_ranking=shared(purse.spent, num_rankings),
        per_comparison=shared(purse.spent, num_comparisons),
        is_stopped=budget.is_stopped,
    )


def num_comparisons_in(rankings: QuerySet[Ranking]) -> int:
    """Pairs of texts with a preference between them."""
    tiers = rankings.order_by().values_list("tiers", flat=True).iterator(chunk_size=2000)
    return sum(math.comb(sum(sizes), 2) - sum(math.comb(size, 2) for size in sizes) for sizes in map(sizes_of, tiers))


def sizes_of(tiers: list[list[str]]) -> list[int]:
    return [len(tier) for tier in tiers]


def shared(units: int, num: int) -> Decimal | None:
    return (amount_of(units) / num).quantize(QUANTUM, rounding=ROUND_HALF_UP) if num else None
