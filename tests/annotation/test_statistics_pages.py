"""Pages and API of a campaign's statistics and costs: counted by a worker, kept by content, with interval, n, or why not."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from annotation.models import Campaign, Figures, Prompt
from annotation.services.assign import lease_next
from annotation.services.campaigns import revise_guideline
from annotation.services.desk import desks_of
from annotation.services.figures import count, figures_of
from annotation.services.judge import Submission
from annotation.services.rank import submit_ranking
from annotation.services.report import as_json, report_of
from annotation.tasks import count_figures
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission


@pytest.fixture
def grace(db):
    return a_person("grace", role=Role.ADMIN)


@pytest.fixture
def browser(grace):
    return client_of(grace)


@pytest.fixture
def ranked(ada, bea) -> Campaign:
    """Three tasks that both have ranked, in 30 and 40 seconds; the first task is about code."""
    campaign = a_campaign(raters=[ada, bea])
    Prompt.objects.filter(pk=campaign.prompts.first().pk).update(kind="code")
    for rater, seconds in ((ada, 30.0), (bea, 40.0)):
        for _ in range(3):
            rank(campaign, rater, seconds=seconds)
    return campaign


def rank(campaign, rater, *, seconds=None, order="0>1=2"):
    assignment = lease_next(campaign, rater=rater)
    assignment.leased_at = assignment.leased_at.replace(year=assignment.leased_at.year - 1)
    assignment.save(update_fields=["leased_at"])
    letters = {pk: letter for letter, pk in assignment.letters().items()}
    texts = [str(pk) for pk in assignment.task.entries.order_by("index").values_list("completion_id", flat=True)]
    said = "".join(letters[texts[int(sign)]] if sign.isdigit() else sign for sign in order)
    return submit_ranking(assignment, rater=rater, submission=a_submission(said, seconds=seconds))


def page(browser, name: str, campaign: Campaign, **query: str) -> str:
    answer = browser.get(reverse(name, args=[campaign.slug]), query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def api(client, campaign: Campaign, path: str, body=None):
    url = f"/api/v1/annotation/campaigns/{campaign.slug}/{path}/"
    return client.get(url) if body is None else client.put(url, json.dumps(body), content_type="application/json")


def test_the_page_tells_each_figure_with_its_interval_and_n(browser, ranked):
    told = page(browser, "campaign_statistics", ranked)
    assert "6 rankings of 3 tasks by 2 raters" in told
    assert "Pairs ordered alike" in told
    assert "100.0 % to 100.0 %" in told
    assert "63 to 77 %: what careful raters reach in published studies. Do not ask for 90." in told
    assert "Kendall&#x27;s tau-b" in told
    for name in ("code", "unnamed", "version 1", "secret-model-0", "Shown first, put first"):
        assert name in told


def test_what_is_undefined_says_why(browser, campaign, ada):
    rank(campaign, ada)
    told = page(browser, "campaign_statistics", campaign)
    assert "Undefined: No two raters had a preference on the same pair of texts." in told
    assert "Undefined: No browser said how long a ranking took." in told


def test_answers_without_an_order_alone_make_no_figure_and_break_no_page(browser, campaign, ada):
    none = Submission(client_uuid=uuid.uuid4(), cannot_rank="unclear", seconds=0.0)
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=none)
    told = page(browser, "campaign_statistics", campaign)
    assert "0 rankings of 0 tasks by 0 raters" in told
    assert "1 answer says that there is no order" in told
    assert "No text here names the model that wrote it." in told
    assert "No order yet." in page(browser, "campaign_rater_figures", campaign)


def test_an_empty_campaign_says_what_will_be_here(browser, campaign):
    assert "Nobody has ranked anything yet" in page(browser, "campaign_statistics", campaign)
    assert "Has ranked nothing here yet." in page(browser, "campaign_rater_figures", campaign)


def test_agreement_by_kind_and_by_version_of_the_guideline(ranked, ada, bea):
    part = as_json(report_of(ranked, num_resamples=20))["people"]
    pairs = {one["name"]: one["agreement"]["figures"]["pairwise"]["num"] for one in part["kinds"]}
    assert pairs == {"code": 2, "unnamed": 4}
    revise_guideline(ranked, text="Be fair and quick.", user=None)
    other = a_campaign(raters=[ada, bea], num_prompts=2, name="Two versions")
    rank(other, ada)
    revise_guideline(other, text="Be quick.", user=None)
    for rater in (ada, bea, bea):
        rank(other, rater)
    part = as_json(report_of(other, num_resamples=20))["people"]
    assert [one["name"] for one in part["guidelines"]] == ["2"]  # the other pair was ranked under two versions
    assert part["guidelines"][0]["agreement"]["num_rankings"] == 2


def test_the_median_of_seconds_and_the_pace(ranked):
    pace = as_json(report_of(ranked, num_resamples=20))["people"]["pace"]
    assert (pace["median_seconds"]["value"], pace["median_seconds"]["low"], pace["median_seconds"]["high"]) == (
        35,
        30,
        40,
    )
    assert pace["per_active_hour"] == pytest.approx(6 * 3600 / 210)
    assert sum(pace["by_hour"]) == sum(one["num"] for one in pace["days"]) == 6
    assert {low: num for low, num in pace["classes"] if num} == {30: 6}


def test_figures_are_kept_until_something_is_ranked_or_corrected(ranked, ada):
    first = figures_of(ranked)
    assert first.is_current
    assert figures_of(ranked).counted_at == first.counted_at
    rank(a_campaign(raters=[ada], name="Another"), ada)
    assert figures_of(ranked).counted_at == first.counted_at


def waiting_messages() -> list[Path]:
    folder = Path(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_out"])
    return [path for path in folder.glob("*.msg") if "count_figures" in path.read_text()] if folder.exists() else []


def test_a_large_campaign_is_counted_by_a_worker_whom_one_look_asks_for_all(
    browser, ranked, ada, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr("annotation.services.figures.AT_ONCE", 0)
    before = len(waiting_messages())
    with django_capture_on_commit_callbacks(execute=True):
        told = page(browser, "campaign_statistics", ranked)
        page(browser, "campaign_rater_figures", ranked)
    assert "The figures are being counted and show here by themselves." in told
    assert "Not counted yet." in page(browser, "campaign_rater_figures", ranked)
    assert len(waiting_messages()) == before + 1
    count_figures(campaign_id=ranked.pk)
    assert "nothing was ranked since" in page(browser, "campaign_statistics", ranked)
    Figures.objects.update(state="older")
    assert "rankings have come in since: they are counted soon" in page(browser, "campaign_statistics", ranked)
    Figures.objects.update(counted_at=timezone.now() - timedelta(minutes=1))
    told = page(browser, "campaign_statistics", ranked)
    assert "newer figures are being counted" in told
    assert "100.0 % to 100.0 %" in told  # the old ones stay in view


def test_the_pages_ask_few_questions_however_much_was_ranked(browser, ranked, django_assert_max_num_queries):
    count(ranked)
    with django_assert_max_num_queries(12):
        page(browser, "campaign_statistics", ranked)
    with django_assert_max_num_queries(14):
        page(browser, "campaign_rater_figures", ranked)


def test_programs_are_on_a_page_of_their_own_and_marked(browser, ranked):
    program = a_person("simulated-1", is_simulated=True)
    other = a_campaign(raters=[program], name="Programs")
    rank(other, program)
    assert "simulated raters" in page(browser, "campaign_statistics", other)
    assert "simulated raters" not in page(browser, "campaign_statistics", ranked)


def test_the_wall_counts_places_by_state(ranked, ada):
    cleo = a_person("cleo")
    other = a_campaign(raters=[ada, cleo], num_prompts=2, name="Wall")
    rank(other, ada)
    lease_next(other, rater=cleo)
    wall = count(other).report["wall"]
    assert (wall["num_tasks"], wall["num_done"], wall["num_leased"], wall["num_waiting"]) == (2, 1, 1, 2)
    assert sum(map(sum, wall["cells"])) == 4


def test_a_raters_row_has_reliability_agreement_and_standing(browser, ranked):
    told = page(browser, "campaign_rater_figures", ranked)
    assert "ada" in told
    assert "Ranks" in told
    assert "30 s" in told
    assert "of the 20 rankings that a test needs" in told


def test_the_api_tells_the_same_figures(browser, ranked):
    told = api(browser, ranked, "statistics").json()
    assert told["is_current"]
    part = told["report"]["people"]
    assert part["overall"]["figures"]["pairwise"] == {"value": 1.0, "num": 6, "low": 1.0, "high": 1.0, "why": ""}
    assert told["report"]["wall"]["num_done"] == 6
    mine = as_json(report_of(ranked))
    assert json.loads(json.dumps(part)) == json.loads(json.dumps(mine["people"]))


@pytest.mark.parametrize("role", [Role.RATER, Role.REVIEWER])
def test_raters_see_none_of_it(ranked, role):
    client = client_of(a_person("rita", role=role))
    for name in ("campaign_statistics", "campaign_rater_figures", "campaign_costs"):
        assert client.get(reverse(name, args=[ranked.slug])).status_code == 403
    for path in ("statistics", "costs"):
        assert api(client, ranked, path).status_code == 403


PRICE = {"price": "18", "per": "hour", "currency": "eur", "most_seconds": "600", "budget": "100"}


def test_a_price_and_a_budget_are_set_on_the_page(browser, ranked, ada):
    answer = browser.post(reverse("campaign_costs", args=[ranked.slug]), PRICE)
    assert answer.status_code == 302
    told = page(browser, "campaign_costs", ranked)
    assert "18.00 EUR an hour of active time, at most 600 seconds a ranking" in told
    assert "100.00 left; the next task may cost 3.00 at most" in told


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("price", "-1", "A price is between 0 and"),
        ("price", "much", "Enter a number."),
        ("budget", "0.00001", "A budget has at most 4 digits after the point."),
        ("most_seconds", "0", "seconds of a ranking are paid, not 0."),
        ("currency", "E1R", "three capital letters"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(browser, campaign, field, value, sentence):
    answer = browser.post(reverse("campaign_costs", args=[campaign.slug]), PRICE | {field: value})
    assert answer.status_code == 400
    assert sentence in answer.content.decode().split(f'id="id_{field}_error"')[1].split("</ul>")[0]


def test_when_the_budget_stops_raters_and_admins_are_told(browser, campaign, ada):
    browser.post(
        reverse("campaign_costs", args=[campaign.slug]), PRICE | {"per": "ranking", "price": "1", "budget": "1.5"}
    )
    rank(campaign, ada)
    told = " ".join(client_of(ada).get(reverse("rank", args=[campaign.slug])).content.decode().split())
    assert "No more tasks are given out for now" in told
    assert "The budget of this campaign is used up or spoken for. What you submitted is kept." in told
    answer = client_of(ada).post(f"/api/v1/annotation/campaigns/{campaign.slug}/next/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "budget_spent")
    for name in ("campaign", "campaign_costs"):
        notice = page(browser, name, campaign)
        assert "0.50 EUR of the budget is left, and the next task may cost 1.00 EUR" in notice
    assert [desk.num_waiting for desk in desks_of(ada)] == [0]


def test_costs_in_the_api(browser, campaign, ada):
    body = {"price": "0.25", "per": "ranking", "currency": "EUR", "budget": "10"}
    assert api(browser, campaign, "costs", body).json()["next_lease"] == "0.2500"
    rank(campaign, ada, order="0>1>2")
    told = api(browser, campaign, "costs").json()
    assert (told["spent"], told["left"], told["per_comparison"]) == ("0.2500", "9.7500", "0.0833")
    refused = api(browser, campaign, "costs", body | {"budget": "0.1"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "budget_too_small")
    assert api(browser, campaign, "costs", body | {"colour": "red"}).status_code == 400
