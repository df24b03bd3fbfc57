"""A program: raters at once who use a budget up, and what came of it as JSON. Run by test_money_races."""

from __future__ import annotations

import json
import random
import threading
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django

django.setup()

from django.db.models import Sum  # noqa: E402

from accounts.models import User  # noqa: E402
from annotation.models import Assignment, Campaign, Purse, Ranking  # noqa: E402
from annotation.services.assign import lease_next  # noqa: E402
from annotation.services.leases import skip  # noqa: E402
from annotation.services.money import BudgetSpent  # noqa: E402
from annotation.services.rank import AlreadyRanked, submit_ranking  # noqa: E402
from annotation.services.tariffs import set_tariff  # noqa: E402
from tests.annotation.arrange import a_campaign, a_submission, run_out  # noqa: E402
from tests.annotation.races import at_once, people  # noqa: E402


def twelve_ask_for_the_last_of_it() -> list[dict[str, Any]]:
    """A budget for three rankings, twelve raters and more than enough work; five times."""
    told = []
    for number in range(5):
        raters = people(f"last{number}", 12)
        campaign = a_campaign(raters=raters, num_prompts=12, overlap=2, name=f"Last {number}")
        set_tariff(campaign, per="ranking", price=Decimal(1), currency="EUR", user=None, budget=Decimal("3.50"))
        leases = at_once(*(lambda c=campaign, r=rater: lease_next(c, rater=r) for rater in raters))
        told.append(
            {
                "leases": sum(isinstance(lease, Assignment) for lease in leases),
                "refused": sum(lease == "budget_spent" for lease in leases),
                "reserved": Purse.objects.get(campaign=campaign).reserved,
            }
        )
    return told


def until_it_is_spent() -> dict[str, Any]:
    """Eight raters by the hour; some skip, walk away, or come back late. A watcher adds up rows all the while."""
    raters = people("paid", 8)
    campaign = a_campaign(raters=raters, num_prompts=60, overlap=4, name="Paid")
    set_tariff(campaign, per="hour", price=Decimal(36), currency="EUR", user=None, most_seconds=60, budget=Decimal(20))
    sums, stop = [], threading.Event()

    def watch() -> int:
        while not stop.wait(0.005):
            sums.append(spent_in_rows(campaign))
        return max(sums)

    def finish() -> list[Any]:
        try:
            return at_once(
                *(lambda i=i, r=rater: a_paid_day(campaign, r, random.Random(i)) for i, rater in enumerate(raters))
            )
        finally:
            stop.set()

    most, days = at_once(watch, finish)
    purse = Purse.objects.get(campaign=campaign)
    return {
        "days": days, "most": most, "looks": len(sums), "budget": purse.budget, "spent": purse.spent,
        "reserved": purse.reserved, "rows": spent_in_rows(campaign),
        "rankings": Ranking.objects.filter(task__campaign=campaign).count(),
        "live": Assignment.objects.filter(slot__campaign=campaign, state="live").count(),
    }  # fmt: skip


def spent_in_rows(campaign: Campaign) -> int:
    return Ranking.objects.filter(task__campaign=campaign).aggregate(sum=Sum("cost"))["sum"] or 0


def a_paid_day(campaign: Campaign, rater: User, lot: random.Random) -> str:
    """Until she is told that the budget is spent, or nothing waits."""
    late: list[Assignment] = []
    for _ in range(100):
        try:
            assignment = lease_next(campaign, rater=rater)
        except BudgetSpent:
            if not late:
                return "spent"
            with suppress(AlreadyRanked):  # she was given it anew and is done with it
                submit_ranking(late.pop(), rater=rater, submission=a_submission(seconds=50.0))
            continue
        if assignment is None:
            return "nothing waits"
        Assignment.objects.filter(pk=assignment.pk).update(leased_at=assignment.leased_at - timedelta(minutes=5))
        chance = lot.random()
        if chance < 0.1:
            skip(assignment, rater=rater)
        elif chance < 0.2 and not late:
            run_out(assignment)
            late.append(assignment)
        else:
            submit_ranking(assignment, rater=rater, submission=a_submission(seconds=lot.uniform(0, 90)))
    return "too long"


if __name__ == "__main__":
    scenes = (twelve_ask_for_the_last_of_it, until_it_is_spent)
    print(json.dumps({scene.__name__: scene() for scene in scenes}))
