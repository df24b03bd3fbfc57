"""A rater's own pages: what waits, what she ranked, correcting it; and the panels of the home page."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from accounts.models import Role
from annotation.models import Ranking
from annotation.services.assign import lease_next
from annotation.services.campaigns import set_state
from annotation.services.rank import submit_ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission


@pytest.fixture
def ranked(campaign, ada) -> Ranking:
    return submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission("b>a=c", reason="brief"))


def text_of(answer) -> str:
    return answer.content.decode()


def correct(ranking: Ranking) -> str:
    return reverse("rank_correct", args=[ranking.pk])


def test_the_home_page_says_how_much_waits_and_has_one_button(campaign, ada):
    page = text_of(client_of(ada).get("/"))
    assert "3 tasks wait for you" in page
    assert page.count("btn primary") == 2  # the other is of the dialog that asks before deeds
    assert f'href="{reverse("rank_any")}"' in page


def test_one_task_waits_in_the_singular(ada):
    a_campaign(raters=[ada], num_prompts=1)
    assert "1 task waits for you" in text_of(client_of(ada).get("/"))


def test_what_is_on_her_desk_counts_as_waiting(campaign, ada):
    lease_next(campaign, rater=ada)
    page = text_of(client_of(ada).get("/"))
    assert "3 tasks wait for you" in page
    assert "Go on ranking" in page


def test_rank_leads_to_work_where_there_is_some_and_to_ones_own_list_else(campaign, ada):
    browser = client_of(ada)
    assert browser.get(reverse("rank_any")).headers["Location"] == reverse("rank", args=[campaign.slug])
    set_state(campaign, to="paused", user=None)
    assert browser.get(reverse("rank_any")).headers["Location"] == reverse("my_work")


def test_rank_leads_to_the_task_that_was_begun(campaign, ada):
    other = a_campaign(raters=[ada], num_prompts=9, name="Larger")
    browser = client_of(ada)
    assert browser.get(reverse("rank_any")).headers["Location"] == reverse("rank", args=[other.slug])
    lease_next(campaign, rater=ada)
    assert browser.get(reverse("rank_any")).headers["Location"] == reverse("rank", args=[campaign.slug])


def test_a_campaign_that_is_a_draft_shows_to_no_rater(ada):
    campaign = a_campaign(raters=[ada])
    type(campaign).objects.update(state="draft")
    assert campaign.name not in text_of(client_of(ada).get(reverse("my_work")))


def test_ones_own_rankings_show_in_the_letters_that_were_seen(ranked, ada, bea):
    assert "b &gt; a=c" in text_of(client_of(ada).get(reverse("my_work")))
    assert "b &gt; a=c" not in text_of(client_of(bea).get(reverse("my_work")))


def test_a_correction_supersedes_and_overwrites_nothing(ranked, ada):
    browser = client_of(ada)
    page = text_of(browser.get(correct(ranked)))
    assert 'value="b &gt; a=c"' in page
    assert "brief</textarea>" in page
    posted = {"assignment": ranked.assignment_id, "client_uuid": uuid.uuid4(), "order": "c > a > b"}
    for _ in range(2):
        assert browser.post(correct(ranked), posted).headers["Location"] == reverse("my_work")
    ranked.refresh_from_db()
    assert not ranked.is_live
    assert Ranking.objects.filter(is_live=True).get().supersedes == ranked


def test_what_was_corrected_leads_to_its_correction(ranked, ada):
    browser = client_of(ada)
    browser.post(correct(ranked), {"client_uuid": uuid.uuid4(), "order": "c > a > b"})
    newer = Ranking.objects.get(is_live=True)
    assert browser.get(correct(ranked)).headers["Location"] == correct(newer)


def test_a_correction_that_cant_be_read_comes_back(ranked, ada):
    answer = client_of(ada).post(correct(ranked), {"client_uuid": uuid.uuid4(), "order": "c > a"})
    assert answer.status_code == 400
    assert "Not ranked yet: B." in text_of(answer)


def test_nobody_elses_ranking_can_be_seen_or_corrected(ranked, bea):
    browser = client_of(bea)
    assert browser.get(correct(ranked)).status_code == 404
    assert browser.post(correct(ranked), {"client_uuid": uuid.uuid4(), "order": "c > a > b"}).status_code == 404


def test_admins_see_campaigns_in_flight_with_simulated_work_marked(campaign, bea):
    simulated = a_person("simulated-1", is_simulated=True)
    campaign.raters.add(simulated)
    submit_ranking(lease_next(campaign, rater=simulated), rater=simulated, submission=a_submission())
    page = text_of(client_of(a_person("grace", role=Role.ADMIN)).get("/"))
    assert "Campaigns in flight" in page
    assert "1 of 6 rankings" in page
    assert "simulated raters took part" in page


def test_my_work_takes_as_many_queries_for_many_rankings(campaign, ada, bea, django_assert_max_num_queries):
    for _ in range(3):
        submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    browser = client_of(ada)
    with django_assert_max_num_queries(9):
        browser.get(reverse("my_work"))
