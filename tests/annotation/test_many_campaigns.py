"""A rater of many campaigns: her pages tell of each what waits and how she stands, and ask no more than for one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role, User
from accounts.services import set_abilities
from annotation.models import Campaign, Cause, Completion, Membership, SkipMode, Standing, TaskKind
from annotation.services import queues
from annotation.services.assign import lease_next
from annotation.services.completions import make_tasks
from annotation.services.desk import desks_of
from annotation.services.leases import skip
from annotation.services.prompts import add_prompts
from annotation.services.review import remark
from annotation.services.rules import change_rules
from annotation.services.standing import appeal, change
from annotation.services.tariffs import set_tariff
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person
from tests.annotation.checks import a_plan, gold_of, rank_next, reversed_order

pytestmark = pytest.mark.slow(seconds=1)

WAYS = {  # how she came to stand where she stands
    Standing.TRUSTED: [],
    Standing.PAUSED: [Standing.PAUSED],
    Standing.TESTED: [Standing.PAUSED, Standing.TESTED],
    Standing.FAILED: [Standing.PAUSED, Standing.TESTED, Standing.FAILED],
}


def with_everything(name: str, *, ada: User, bea: User, rex: User) -> Campaign:
    """Two queues, gold, tests, a budget, tasks that come back, rankings of two raters, one of which was returned."""
    made = a_campaign(raters=[ada, bea], num_prompts=14, name=name)
    add_prompts(made, rows=[{"prompt": f"Frage {n}?", "language": "de"} for n in range(3)], user=None)
    for prompt in made.prompts.filter(language="de"):
        Completion.objects.bulk_create(Completion(prompt=prompt, text=f"Antwort {n}") for n in range(3))
    make_tasks(made)
    gold_of(made, 2)
    gold_of(made, 8, kind=TaskKind.TEST)  # of the work, of which she sees five: three are left for her test at least
    a_plan(made, gold_share=0.2, num_tests=4, shows_agreement=True)
    set_tariff(made, per="hour", price=Decimal(12), currency="EUR", budget=Decimal(100), user=None)
    change_rules(made, user=None, skip_mode=SkipMode.LATER)
    skip(lease_next(made, rater=ada), rater=ada)
    for _ in range(4):
        ranking = rank_next(made, ada)
        rank_next(made, bea)
    assert ranking is not None
    remark(ranking, words="Why?", returns=True, user=rex)
    return made


def put(campaign: Campaign, rater: User, *, to: Standing) -> None:
    member = Membership.objects.get(campaign=campaign, user=rater)
    for step in WAYS[to]:
        change(
            member, to=step, cause=Cause.TEST if step == Standing.FAILED else Cause.HAND, reason="So it is.", by=None
        )
    if to == Standing.TESTED:
        rank_next(campaign, rater)
    if to == Standing.PAUSED:
        appeal(campaign, rater=rater, words="I read them.")


def asked_by(address: str, *, rater: User) -> int:
    browser = client_of(rater)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("standing", WAYS)
def test_pages_take_as_many_queries_for_five_campaigns_as_for_one(ada, bea, standing):
    set_abilities(ada, languages=["de"], skills=[], by=None)
    rex = a_person("rex", role=Role.REVIEWER)
    counts = []
    for number in range(5):
        made = with_everything(f"Campaign {number}", ada=ada, bea=bea, rex=rex)
        put(made, ada, to=standing)
        counts.append((asked_by(reverse("my_work"), rater=ada), asked_by("/", rater=ada)))
    assert counts[0] == counts[4]
    assert counts[0][0] <= 14


def test_what_waits_is_told_of_each_campaign(ada, bea):
    for number in range(3):
        a_campaign(raters=[ada, bea], num_prompts=number + 1, name=f"Campaign {number}")
    rank_next(Campaign.objects.get(name="Campaign 2"), ada)
    assert {desk.campaign.name: (desk.num_waiting, desk.num_mine) for desk in desks_of(ada)} == {
        "Campaign 0": (1, 0),
        "Campaign 1": (2, 0),
        "Campaign 2": (2, 1),
    }


def test_what_waits_is_told_however_many_campaigns_there_are(ada, monkeypatch):
    monkeypatch.setattr(queues, "MOST_TOGETHER", 2)
    for number in range(5):
        a_campaign(raters=[ada], num_prompts=number + 1, name=f"Campaign {number}")
    assert sorted(desk.num_waiting for desk in desks_of(ada)) == [1, 2, 3, 4, 5]


def test_slots_of_few_tasks_are_looked_through_until_there_are_tasks_enough(ada):
    campaign = a_campaign(raters=[ada], num_prompts=6, overlap=20)
    walks = queues.walks_of([campaign], rater=ada)
    assert [queues.num_waiting(walks, up_to=most)[campaign.pk] for most in (1, 5, 6, 7)] == [1, 5, 6, 6]


def test_agreement_is_told_of_each_campaign_apart(ada, bea):
    alike, apart = (a_campaign(raters=[ada, bea], num_prompts=2, name=name) for name in ("Alike", "Apart"))
    for campaign in (alike, apart):
        a_plan(campaign, shows_agreement=True)
        rank_next(campaign, ada)
        rank_next(campaign, ada)
    rank_next(alike, bea)
    rank_next(apart, bea, rule=reversed_order)
    page = client_of(ada).get(reverse("my_work")).content.decode()
    assert "You and others order 100 % of pairs alike" in page.split("<h3>Alike</h3>")[1].split("</article>")[0]
    assert "You and others order 0 % of pairs alike" in page.split("<h3>Apart</h3>")[1].split("</article>")[0]
