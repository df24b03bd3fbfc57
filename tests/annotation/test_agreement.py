"""Agreement of raters: counted on pairs that both had a preference on, with an interval that knows of tasks."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Role
from annotation.quality.intervals import ratio_interval
from annotation.services.agreement import agreement_of
from annotation.services.assign import lease_next
from annotation.services.rank import submit_ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission


def rank(campaign, rater, *orders: str) -> None:
    """Orders of texts 0, 1, 2 as they were written, whatever letters they have on her desk."""
    for order in orders:
        assignment = lease_next(campaign, rater=rater)
        letters = {pk: letter for letter, pk in assignment.letters().items()}
        texts = [str(pk) for pk in assignment.task.entries.order_by("index").values_list("completion_id", flat=True)]
        said = "".join(letters[texts[int(sign)]] if sign.isdigit() else sign for sign in order)
        submit_ranking(assignment, rater=rater, submission=a_submission(said))


def test_one_swap_among_three_texts_agrees_on_two_of_three_pairs(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1)
    rank(campaign, ada, "0>1>2")
    rank(campaign, bea, "1>0>2")
    found = agreement_of(campaign)
    assert found.share == pytest.approx(2 / 3)
    assert (found.num_pairs, found.num_tasks, found.is_simulated) == (3, 1, False)
    assert found.low < 2 / 3 < found.high


def test_a_tie_is_no_preference(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1)
    rank(campaign, ada, "0>1=2")
    rank(campaign, bea, "0>2>1")
    assert (agreement_of(campaign).share, agreement_of(campaign).num_pairs) == (1.0, 2)


def test_it_is_undefined_while_no_two_have_ranked_one_task(campaign, ada):
    rank(campaign, ada, "0>1>2")
    assert agreement_of(campaign) is None
    page = client_of(a_person("grace", role=Role.ADMIN)).get(reverse("campaign", args=[campaign.slug])).content.decode()
    assert "Undefined until two raters have ranked the same task" in page


def test_people_are_not_mixed_with_programs(ada, bea):
    programs = [a_person(f"simulated-{n}", is_simulated=True) for n in (1, 2)]
    campaign = a_campaign(raters=[ada, bea, *programs], num_prompts=1, overlap=4)
    for program in programs:
        rank(campaign, program, "0>1>2")
    assert (agreement_of(campaign).share, agreement_of(campaign).is_simulated) == (1.0, True)
    rank(campaign, ada, "0>1>2")
    rank(campaign, bea, "2>1>0")
    assert (agreement_of(campaign).share, agreement_of(campaign).is_simulated) == (0.0, False)


def test_the_page_says_share_interval_and_n(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=2)
    for rater in (ada, bea):
        rank(campaign, rater, "0>1>2", "0>1>2")
    page = client_of(a_person("grace", role=Role.ADMIN)).get(reverse("campaign", args=[campaign.slug])).content.decode()
    assert "100 %" in page
    assert "6 pairs from 2 tasks" in page


def test_the_interval_is_that_of_wilson_where_pairs_are_independent():
    low, high = ratio_interval([(1, 1)] * 70 + [(0, 1)] * 30)
    assert (low, high) == pytest.approx((0.604, 0.781), abs=0.003)


def test_pairs_of_one_task_that_stand_or_fall_together_count_as_one():
    alone = ratio_interval([(1, 1)] * 14 + [(0, 1)] * 6)
    together = ratio_interval([(10, 10)] * 14 + [(0, 10)] * 6)
    assert together == pytest.approx(alone, abs=0.02)


def test_full_agreement_on_few_tasks_is_not_called_certain():
    low, high = ratio_interval([(3, 3)] * 4)
    assert low < 0.6
    assert high == pytest.approx(1.0)
