"""What a campaign pays and has to spend: its tariff and budget, set by admins, and what came of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, gettext_noop

from accounts.errors import Conflict, UserError
from accounts.hints import hint
from accounts.models import User
from accounts.numbers import whole
from annotation.models import Campaign, Per, Purse, Ranking, Tariff, TaskKind
from annotation.models.money import PLACES
from annotation.services.money import QUANTUM, amount_of, most_of, tariff_of, units_of
from audit.services import record

MOST_PRICE = Decimal("99999999")
MOST_SECONDS = 24 * 60 * 60
DEFAULT_MOST_SECONDS = 15 * 60
OF_PRICES = (
    gettext_noop("A price is between 0 and %(most)s."),
    gettext_noop("A price has at most %(most)s digits after the point."),
)
OF_BUDGETS = (
    gettext_noop("A budget is between 0 and %(most)s."),
    gettext_noop("A budget has at most %(most)s digits after the point."),
)


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
