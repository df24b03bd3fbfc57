"""What ranking costs: exact sums of rows, and a budget that is never passed, whatever raters do."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from annotation.models import Assignment, Purse, Ranking, Tariff
from annotation.services.assign import lease_next
from annotation.services.leases import expire_leases, skip
from annotation.services.money import UNITS, BudgetSpent, amount_of, due
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.tariffs import BadTariff, BudgetTooSmall, costs_of, set_tariff
from tests.annotation.arrange import a_campaign, a_person, a_submission, run_out


def an_hour(campaign, price, *, budget=None, most_seconds=600):
    return set_tariff(
        campaign, per="hour", price=Decimal(price), currency="EUR", user=None, most_seconds=most_seconds,
        budget=None if budget is None else Decimal(budget),
    )  # fmt: skip


def each(campaign, price, *, budget=None):
    return set_tariff(
        campaign, per="ranking", price=Decimal(price), currency="EUR", user=None,
        budget=None if budget is None else Decimal(budget),
    )  # fmt: skip


def leased_long_ago(assignment, minutes=30):
    """Seconds are believed as far as the lease is old."""
    Assignment.objects.filter(pk=assignment.pk).update(leased_at=assignment.leased_at - timedelta(minutes=minutes))


def rank(campaign, rater, *, seconds=None, order="a>b>c"):
    assignment = lease_next(campaign, rater=rater)
    leased_long_ago(assignment)
    return submit_ranking(assignment, rater=rater, submission=a_submission(order, seconds=seconds))


def holds(campaign):
    """The purse is the sum of the rows and of the live leases, and not over its budget."""
    purse = Purse.objects.get(campaign=campaign)
    rows = Ranking.objects.filter(task__campaign=campaign)
    assert purse.spent == sum(rows.values_list("cost", flat=True))
    live = Assignment.objects.filter(slot__campaign=campaign, state="live", tariff__isnull=False)
    assert purse.reserved == sum(due(one.tariff, seconds=one.tariff.most_seconds) for one in live)
    assert purse.budget is None or purse.spent + purse.reserved <= purse.budget
    return purse


def test_an_hour_is_paid_by_the_second_to_the_ten_thousandth(campaign, ada):
    an_hour(campaign, "17.50")
    made = rank(campaign, ada, seconds=100.0)
    assert amount_of(made.cost) == Decimal("0.4861")  # 17.5 * 100 / 3600 = 0.48611
    assert holds(campaign).spent == made.cost


def test_the_time_of_one_ranking_is_paid_up_to_a_bound(campaign, ada):
    an_hour(campaign, "18", most_seconds=600)
    assert amount_of(rank(campaign, ada, seconds=1500.0).cost) == Decimal("3.0000")


def test_seconds_that_nobody_told_cost_nothing_by_the_hour_and_the_price_by_the_ranking(campaign, ada):
    an_hour(campaign, "18")
    assert rank(campaign, ada).cost == 0
    each(campaign, "0.25")
    assert amount_of(rank(campaign, ada).cost) == Decimal("0.2500")


@pytest.mark.parametrize(
    ("seconds", "units"),
    [(0.5, 1), (0.4999, 0), (1.5, 2), (3599.5, 3600)],  # at 0.36 an hour a second is one ten-thousandth
)
def test_halves_are_rounded_up(seconds, units):
    assert due(Tariff(per="hour", price=Decimal("0.36"), most_seconds=7200), seconds=seconds * 1.0) == round(
        Decimal(units)
    )


def test_costs_are_the_sum_of_the_rows_however_odd_the_seconds(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=6)
    an_hour(campaign, "13.37")
    rows = [rank(campaign, rater, seconds=7.77 * n + 0.013) for rater in (ada, bea) for n in range(6)]
    told = costs_of(campaign)
    assert told.spent == sum((amount_of(row.cost) for row in rows), Decimal(0))
    assert told.spent * UNITS == holds(campaign).spent
    assert (told.num_rankings, told.num_comparisons) == (12, 36)
    assert told.per_ranking == (told.spent / 12).quantize(Decimal("0.0001"))
    assert told.per_comparison == (told.spent / 36).quantize(Decimal("0.0001"))


def test_when_the_next_lease_could_pass_the_budget_none_is_given(campaign, ada, bea):
    each(campaign, "1.00", budget="2.50")
    rank(campaign, ada)
    lease_next(campaign, rater=ada)  # on her desk: one more is put aside
    with pytest.raises(BudgetSpent, match="gives out no more tasks for now: its budget is used up or spoken for"):
        lease_next(campaign, rater=bea)
    assert costs_of(campaign).is_stopped
    purse = holds(campaign)
    assert (amount_of(purse.spent), amount_of(purse.reserved)) == (Decimal("1.0000"), Decimal("1.0000"))


def test_a_budget_can_be_spent_to_the_last_unit(campaign, ada):
    each(campaign, "1.00", budget="2.00")
    rank(campaign, ada)
    rank(campaign, ada)
    assert costs_of(campaign).left == 0
    with pytest.raises(BudgetSpent):
        lease_next(campaign, rater=ada)


def test_a_lease_that_ends_without_a_ranking_gives_back_what_was_put_aside(campaign, ada, bea):
    each(campaign, "1.00", budget="1.00")
    skip(lease_next(campaign, rater=ada), rater=ada)
    assert holds(campaign).reserved == 0
    run_out(lease_next(campaign, rater=ada))
    assert lease_next(campaign, rater=bea) is not None  # hers ran out, and its money with it
    run_out(Assignment.objects.get(rater=bea))
    expire_leases(campaign=campaign)
    assert holds(campaign).reserved == 0


def test_a_short_ranking_leaves_what_it_did_not_need(campaign, ada, bea):
    an_hour(campaign, "6", budget="1.05", most_seconds=600)  # at most 1.00 a ranking
    rank(campaign, ada, seconds=30.0)  # 0.05
    assert lease_next(campaign, rater=bea) is not None
    with pytest.raises(BudgetSpent):
        lease_next(campaign, rater=ada)
    holds(campaign)


def test_a_late_ranking_is_kept_and_paid_as_far_as_there_is_room(campaign, ada, bea):
    each(campaign, "1.00", budget="1.40")
    late = lease_next(campaign, rater=ada)
    run_out(late)
    lease_next(campaign, rater=bea)
    made = submit_ranking(late, rater=ada, submission=a_submission())
    assert amount_of(made.cost) == Decimal("0.4000")
    holds(campaign)


def test_a_correction_is_not_paid_again(campaign, ada):
    each(campaign, "1.00")
    made = rank(campaign, ada)
    assert correct_ranking(made, rater=ada, submission=a_submission("c>b>a")).cost == 0
    assert amount_of(holds(campaign).spent) == Decimal("1.0000")


def test_the_same_submission_twice_is_paid_once(campaign, ada):
    each(campaign, "1.00")
    assignment, once = lease_next(campaign, rater=ada), a_submission()
    assert len({submit_ranking(assignment, rater=ada, submission=once).pk for _ in range(3)}) == 1
    assert amount_of(holds(campaign).spent) == Decimal("1.0000")


def test_programs_cost_nothing(db):
    program = a_person("simulated-1", is_simulated=True)
    campaign = a_campaign(raters=[program])
    each(campaign, "1.00", budget="0")
    assert rank(campaign, program).cost == 0
    assert holds(campaign).reserved == 0


def test_a_new_price_is_for_leases_from_now_on(campaign, ada, bea):
    each(campaign, "1.00", budget="10")
    old = lease_next(campaign, rater=ada)
    each(campaign, "2.00", budget="10")
    new = lease_next(campaign, rater=bea)
    costs = [submit_ranking(one, rater=one.rater, submission=a_submission()).cost for one in (old, new)]
    assert [amount_of(cost) for cost in costs] == [1, 2]
    assert Tariff.objects.count() == 2
    holds(campaign)


def test_what_was_leased_before_there_was_a_price_is_paid_by_the_first(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    each(campaign, "1.00", budget="5")
    assert amount_of(submit_ranking(assignment, rater=ada, submission=a_submission()).cost) == 1
    holds(campaign)


def test_a_budget_below_what_is_spent_and_put_aside_is_refused(campaign, ada):
    each(campaign, "1.00", budget="5")
    rank(campaign, ada)
    lease_next(campaign, rater=ada)
    with pytest.raises(BudgetTooSmall, match=r"1\.0000 is spent and 1\.0000 put aside"):
        each(campaign, "1.00", budget="1.99")
    assert each(campaign, "1.00", budget="2").left == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"per": "day"}, "A price is per hour or ranking, not per day."),
        ({"currency": "eur"}, "three capital letters"),
        ({"price": Decimal("0.00001")}, "at most 4 digits after the point"),
        ({"price": Decimal("-1")}, "A price is between 0 and"),
        ({"price": Decimal("NaN")}, "A price is between 0 and"),
        ({"budget": Decimal("Infinity")}, "A budget is between 0 and"),
        ({"most_seconds": 0}, "seconds of a ranking are paid, not 0"),
    ],
)
def test_what_is_no_tariff_is_refused(campaign, fields, sentence):
    good = {"per": "hour", "price": Decimal(1), "currency": "EUR", "most_seconds": 60, "budget": None}
    with pytest.raises(BadTariff, match=sentence):
        set_tariff(campaign, user=None, **(good | fields))


def test_the_currency_stays_once_something_is_spent(campaign, ada):
    each(campaign, "1.00")
    rank(campaign, ada)
    with pytest.raises(BadTariff, match="the currency stays"):
        set_tariff(campaign, per="ranking", price=Decimal(1), currency="USD", user=None)
