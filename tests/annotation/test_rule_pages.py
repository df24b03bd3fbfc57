"""How work is given out, by page and by API: what an admin changes, and what a rater is told."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from accounts.models import Role
from annotation.models import Membership, RankingTask, SkipMode
from annotation.services.assign import lease_next
from annotation.services.rank import submit_ranking
from annotation.services.rules import change_rules
from tests.accounts.people import client_of
from tests.annotation.arrange import a_person, a_submission

pytestmark = pytest.mark.django_db
BASE = "/api/v1/annotation/campaigns/everyday/"


@pytest.fixture
def browser(db):
    return client_of(a_person("grace", role=Role.ADMIN))


def text_of(answer) -> str:
    return answer.content.decode()


def send(client, path, body, method="patch"):
    return getattr(client, method)(BASE + path, json.dumps(body), content_type="application/json")


def test_an_admin_changes_the_rules_on_the_campaigns_page(browser, campaign):
    form = {
        "most_rankings": "20",
        "extra_below": "70",
        "extra_most": "4",
        "skip_mode": "later",
        "skip_needs_reason": "on",
    }
    page = browser.post(reverse("campaign_rules", args=["everyday"]), form, follow=True)
    assert "in force for every task that is given out from now on" in text_of(page)
    campaign.refresh_from_db()
    assert (campaign.most_rankings, campaign.extra_below, campaign.extra_most) == (20, 70, 4)
    assert (campaign.skip_mode, campaign.skip_needs_reason) == (SkipMode.LATER, True)


def test_a_rule_that_makes_no_sense_comes_back_beside_its_field(browser, campaign):
    page = browser.post(reverse("campaign_rules", args=["everyday"]), {"extra_below": "70", "extra_most": "2"})
    assert page.status_code == 400
    assert "With 2 raters a task, extra ones make it 3 to 25, not 2." in text_of(page)


def test_the_api_changes_rules_limits_and_priorities(browser, campaign, ada):
    changed = send(browser, "", {"skip_mode": "done", "most_rankings": 9}).json()
    assert (changed["skip_mode"], changed["most_rankings"], changed["extra_below"]) == ("done", 9, None)
    assert send(browser, "", {"skip_mode": "never"}).status_code == 400
    assert send(browser, "raters/ada/", {"most_rankings": 3}).json()["most_rankings"] == 3
    assert send(browser, "raters/nobody/", {"most_rankings": 3}).status_code == 404
    members = browser.get(BASE + "raters/").json()
    assert [(one["username"], one["most_rankings"]) for one in members] == [("ada", 3), ("bea", None)]
    task = RankingTask.objects.first()
    moved = send(browser, "priorities/", {"ids": [str(task.pk)], "priority": 1}, method="post")
    assert moved.json() == {"num_tasks": 1}
    assert send(client_of(ada), "", {"most_rankings": None}).status_code == 403


def test_limits_and_priorities_are_set_on_the_page(browser, campaign, ada):
    browser.post(reverse("campaign_rater_limit", args=["everyday", "ada"]), {"most_rankings": "5"})
    assert Membership.objects.get(user=ada).most_rankings == 5
    browser.post(reverse("campaign_rater_limit", args=["everyday", "ada"]), {"most_rankings": ""})
    assert Membership.objects.get(user=ada).most_rankings is None
    task = RankingTask.objects.first()
    page = browser.post(
        reverse("campaign_priority", args=["everyday"]), {"priority": "3", "ids": str(task.pk)}, follow=True
    )
    assert "1 task now with priority 3." in text_of(page)
    page = browser.post(reverse("campaign_priority", args=["everyday"]), {"priority": "3", "ids": "elsewhere"})
    assert page.status_code == 400
    assert "There is no task or prompt elsewhere" in text_of(page)


def test_a_rater_at_her_limit_is_told_so_on_every_page(campaign, ada):
    change_rules(campaign, user=None, most_rankings=1)
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    client = client_of(ada)
    assert "You have ranked as many as one person may here" in text_of(client.get(reverse("rank", args=["everyday"])))
    assert "as many as one person may here" in text_of(client.get(reverse("my_work")))
    assert "You have ranked as many as one person may" in text_of(client.get(reverse("home")))
    answer = client.post(BASE + "next/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "limit_reached")


def test_the_skip_form_says_what_becomes_of_the_task(campaign, ada):
    change_rules(campaign, user=None, skip_mode=SkipMode.LATER, skip_needs_reason=True)
    page = text_of(client_of(ada).get(reverse("rank", args=["everyday"])))
    assert "it comes back to you when nothing else waits" in page
    assert "choose a reason" in page


def test_a_rater_says_her_languages_and_an_admin_gives_skills(browser, ada):
    client = client_of(ada)
    client.post(reverse("languages"), {"languages": "de-AT, en"})
    ada.refresh_from_db()
    assert ada.languages == ["de", "en"]
    refused = client.post(reverse("languages"), {"languages": "deutsch"})
    assert refused.status_code == 400
    assert "two or three letters" in text_of(refused)
    browser.post(reverse("person_abilities", args=[ada.pk]), {"languages": "de", "skills": "Law; python"})
    ada.refresh_from_db()
    assert (ada.languages, ada.skills) == (["de"], ["law", "python"])
    assert client.post(reverse("person_abilities", args=[ada.pk]), {"skills": "all"}).status_code == 403
