"""A campaign's quality page: the plan in percent, right orders by file, raters with their figures."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.models import Role
from annotation.models import GoldAnswer, QualityPlan, TaskKind
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person
from tests.annotation.checks import a_plan, gold_of, kinds_given, rank_next
from tests.annotation.test_gold import LINE

FILLED = {
    "gold_share": "12.5", "repeat_share": "5", "repeat_after": "10", "false_alarm": "1", "floor": "75", "num_tests": "0",
    "pass_mark": "80",
}  # fmt: skip


@pytest.fixture
def admin(db):
    return client_of(a_person("grace", role=Role.ADMIN))


def where(campaign, name: str = "campaign_quality", *more: object) -> str:
    return reverse(name, args=[campaign.slug, *more])


def test_without_a_plan_the_page_says_that_nobody_is_checked(admin, campaign):
    page = admin.get(where(campaign)).content.decode()
    assert "This campaign checks nobody yet" in page
    assert not QualityPlan.objects.exists()


def test_a_plan_is_typed_in_percent_and_stands_there_again(admin, campaign):
    answer = admin.post(where(campaign, "quality_plan"), FILLED, follow=True)
    plan = QualityPlan.objects.get()
    assert (plan.gold_share, plan.floor, plan.pass_mark, plan.false_alarm) == (0.125, 0.75, 0.8, 0.01)
    assert 'value="12.5"' in answer.content.decode()
    assert "12 % of each rater" in answer.content.decode()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"gold_share": "51"}, "Gold are 0 to 50 % of the tasks."),
        ({"num_tests": "4"}, "There are 0 test tasks, fewer than 4."),
        ({"floor": "a lot"}, "Enter a number."),
        ({"false_alarm": ""}, "This field is required."),
    ],
)
def test_a_plan_that_is_refused_says_so_beside_its_field(admin, campaign, change, complaint):
    answer = admin.post(where(campaign, "quality_plan"), FILLED | change)
    assert answer.status_code == 400
    assert complaint in answer.content.decode()
    assert not QualityPlan.objects.exists()


def upload(*rows: object) -> dict[str, object]:
    body = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    return {"file": SimpleUploadedFile("gold.jsonl", body)}


def test_right_orders_are_brought_by_file_and_retired(admin, campaign):
    page = admin.post(where(campaign, "quality_gold"), upload(LINE), follow=True).content.decode()
    assert "Gold tasks added: 1; test tasks: 0; here already: 0." in page
    assert "Which is shorter?" in page
    gold = GoldAnswer.objects.get()
    page = admin.post(where(campaign, "quality_retire", gold.pk), follow=True).content.decode()
    assert "Which is shorter?" not in page
    gold.refresh_from_db()
    assert gold.retired_at


def test_a_bad_line_is_told_by_its_number(admin, campaign):
    answer = admin.post(where(campaign, "quality_gold"), upload(LINE, {**LINE, "gold": "a"}))
    assert answer.status_code == 400
    assert "Line 2: Not ranked yet: B, C." in answer.content.decode()
    assert not GoldAnswer.objects.exists()


def test_a_gold_of_another_campaign_is_not_retired_here(admin, campaign):
    other = a_campaign(name="Other")
    (gold,) = gold_of(other, 1)
    assert admin.post(where(campaign, "quality_retire", gold.pk)).status_code == 404


def test_raters_show_with_their_credit_its_interval_and_its_n(admin, ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=30, overlap=2)
    gold_of(campaign, 30)
    a_plan(campaign, gold_share=0.5)
    for _ in range(12):
        rank_next(campaign, ada)
    num = kinds_given(campaign, ada).count("gold")
    page = admin.get(where(campaign)).content.decode()
    assert f"to 100 %, {3 * num} pairs" in page
    assert "No gold task was answered here." in page  # by Bea


def test_the_page_takes_as_many_queries_for_many_raters(admin, django_assert_max_num_queries):
    raters = [a_person(f"rater-{n}") for n in range(12)]
    campaign = a_campaign(raters=raters, num_prompts=6, overlap=12)
    gold_of(campaign, 6, kind=TaskKind.GOLD)
    a_plan(campaign, gold_share=0.5)
    for rater in raters:
        rank_next(campaign, rater)
    with django_assert_max_num_queries(22):
        admin.get(where(campaign))
