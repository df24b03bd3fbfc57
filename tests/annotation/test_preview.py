"""Seeing a campaign as a rater: the same page, and nothing leased, kept or counted."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from accounts.models import Role
from annotation.models import Assignment, GuidelineReading, Ranking, Slot
from annotation.services.campaigns import create_campaign
from tests.accounts.people import client_of
from tests.annotation.arrange import a_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(db):
    return client_of(a_person("grace", role=Role.ADMIN))


def opened(browser, campaign):
    answer = browser.get(reverse("campaign_preview", args=[campaign.slug]), follow=True)
    return answer.redirect_chain[-1][0], answer.content.decode()


def form(order: str) -> dict[str, str]:
    return {"assignment": "0", "client_uuid": "7f1f7a3e-3b5e-4b57-8f4b-2d9a0f9c6a11", "order": order, "seconds": "3"}


def test_it_is_the_page_of_a_rater_and_says_that_it_is_a_preview(browser, campaign, ada):
    _, page = opened(browser, campaign)
    assert "Nothing is leased, and nothing that you do here is kept" in page
    theirs = client_of(ada).get(reverse("rank", args=[campaign.slug])).content.decode()
    for sign in ('id="rail"', 'id="submit"', "3 replies in random order", "Guideline, version 1", 'data-letters="abc"'):
        assert sign in page
        assert sign in theirs
    assert "secret-model" not in page


def test_whatever_is_done_there_nothing_is_written(browser, campaign):
    address, page = opened(browser, campaign)
    assert browser.post(address, form("a > b = c")).status_code == 302
    assert browser.post(address, form("a > b = c"), headers={"HX-Request": "true"}).status_code == 200
    assert browser.post(address, form("a > z")).status_code == 400
    assert browser.get(f"{address}compare/?left=a&right=b").status_code == 200
    assert browser.get(f"{address}compare/?left=a&right=z").status_code == 404
    assert browser.post(f"{address}difference/", {"letter": "a", "edit:a": "Another."}).status_code == 200
    assert 'data-draft-url=""' in page
    assert 'data-renew-url=""' in page
    assert not Assignment.objects.exists()
    assert not Ranking.objects.exists()
    assert not GuidelineReading.objects.exists()
    assert not Slot.objects.filter(is_free=False).exists()


def test_submit_leads_to_other_tasks_and_each_stays_as_it_was(browser, campaign):
    first, page = opened(browser, campaign)
    address, seen = first, {first}
    for _ in range(campaign.slots.count()):
        following = browser.post(address, form("a > b = c")).headers["Location"]
        assert following != address
        address = following
        seen.add(address)
    assert len(seen) >= 2
    texts = re.findall(r"Answer \d to question \d", page)
    assert texts == re.findall(r"Answer \d to question \d", browser.get(first).content.decode())


def test_where_all_is_ranked_there_is_still_a_task_to_see(browser, campaign):
    campaign.slots.update(is_free=False)
    _, page = opened(browser, campaign)
    assert 'id="rail"' in page


def test_a_campaign_without_tasks_says_what_it_needs(browser):
    campaign = create_campaign("Empty", k=2, overlap=1, guideline="", user=None)
    answer = browser.get(reverse("campaign_preview", args=[campaign.slug]))
    assert (answer.status_code, "it needs completions first" in answer.content.decode()) == (404, True)


@pytest.mark.parametrize("role", [Role.RATER, Role.REVIEWER, Role.RESEARCHER])
def test_nobody_else_gets_there(campaign, role):
    task = campaign.tasks.first()
    browser = client_of(a_person("someone", role=role))
    for name, args in (
        ("campaign_preview", []),
        ("campaign_preview_task", [task.pk]),
        ("campaign_preview_compare", [task.pk]),
    ):
        assert browser.get(reverse(name, args=[campaign.slug, *args])).status_code == 403
