"""Pages of campaigns: made, filled, opened, frozen; what is refused is said beside the field, and nothing is half done."""

from __future__ import annotations

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.models import Role, User
from annotation.models import Campaign, CampaignState, Completion
from annotation.services.assign import lease_next
from annotation.services.rank import submit_ranking
from registry.models import DatasetVersion
from runs.models import Run
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission
from tests.runs.conftest import a_model


@pytest.fixture
def grace(db) -> User:
    return a_person("grace", role=Role.ADMIN)


@pytest.fixture
def browser(grace):
    return client_of(grace)


@pytest.fixture
def empty(db) -> Campaign:
    return Campaign.objects.create(name="Empty", slug="empty", k=3)


def text_of(answer) -> str:
    return answer.content.decode()


def page_of(campaign: Campaign) -> str:
    return reverse("campaign", args=[campaign.slug])


def post(browser, view: str, campaign: Campaign, **fields):
    return browser.post(reverse(view, args=[campaign.slug]), fields)


def bring(browser, campaign: Campaign, file: SimpleUploadedFile, **fields):
    """Checks a file and imports it."""
    checked = post(browser, "campaign_imports", campaign, file=file)
    return browser.post(checked.headers["Location"], fields)


def upload(name: str, *lines: object) -> SimpleUploadedFile:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return SimpleUploadedFile(name, text.encode())


NEW = {"name": "Week 4", "k": 3, "overlap": 2, "lease_minutes": 20, "guideline": "Be fair."}


def test_a_new_campaign_has_its_raters_and_its_guideline(browser, ada):
    answer = browser.post(reverse("campaign_new"), {**NEW, "raters": [ada.pk]})
    campaign = Campaign.objects.get()
    assert answer.headers["Location"] == page_of(campaign)
    assert (campaign.k, campaign.state, campaign.guidelines.get().text) == (3, CampaignState.DRAFT, "Be fair.")
    assert list(campaign.raters.all()) == [ada]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("k", 10, "K is 2 to 9 completions a task, not 10."),
        ("overlap", 0, "1 to 25 raters rank a task, not 0."),
        ("lease_minutes", 0, "A lease lasts 1 to 1440 minutes, not 0."),
        ("name", "new", "can't be called new"),
        ("name", "!?", "with a letter or a digit among them"),
        ("name", "Empty", "Choose another name."),
        ("guideline", "", "This field is required."),
    ],
)
def test_what_is_wrong_stands_beside_its_field(browser, empty, field, value, sentence):
    answer = browser.post(reverse("campaign_new"), {**NEW, field: value})
    assert answer.status_code == 400
    page = text_of(answer).replace("&#x27;", "'")
    told = page.split(f'id="id_{field}_error"')[1]
    assert sentence in told.split("</ul>")[0]
    assert Campaign.objects.count() == 1


def test_a_plain_text_has_a_prompt_a_line(browser, empty):
    bring(browser, empty, upload("p.txt", "One?", "", "Two?"))
    assert empty.prompts.count() == 2


def test_completions_are_asked_of_a_model_and_queued(browser, empty):
    model = a_model("writer", role="sft")
    bring(browser, empty, upload("p.txt", "One?"))
    answer = post(browser, "campaign_completions", empty, model=model.pk, k=3, max_new_tokens=20)
    assert answer.headers["Location"] == page_of(empty)
    run = Run.objects.get()
    assert (run.method, run.recipe["k"], run.recipe["max_new_tokens"]) == ("generate", 3, 20)
    assert run.title in text_of(browser.get(page_of(empty)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"k": 12}, "k"), ({"max_new_tokens": 0}, "max_new_tokens"), ({"model": ""}, "This field is required.")],
)
def test_a_recipe_out_of_bounds_is_refused_on_the_page(browser, empty, fields, sentence):
    model = a_model("writer", role="sft")
    bring(browser, empty, upload("p.txt", "One?"))
    answer = post(browser, "campaign_completions", empty, **{"model": model.pk, "k": 3, "max_new_tokens": 9, **fields})
    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert not Run.objects.exists()


def test_reward_models_are_not_offered_as_writers(browser, empty):
    a_model("writer", role="sft")
    a_model("judge", role="reward")
    bring(browser, empty, upload("p.txt", "One?"))
    page = text_of(browser.get(page_of(empty)))
    assert "writer" in page
    assert "judge" not in page


def test_a_campaign_is_opened_paused_and_closed(browser, campaign):
    for to in ("paused", "open", "closed", "open"):
        assert post(browser, "campaign_state", campaign, to=to).status_code == 302
        campaign.refresh_from_db()
        assert campaign.state == to
    assert post(browser, "campaign_state", campaign, to="draft").status_code == 409


def test_rankings_are_frozen_under_a_name_that_is_free(browser, campaign, ada):
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission("a>b>c"))
    page = text_of(browser.get(page_of(campaign)))
    assert 'value="everyday-1"' in page
    post(browser, "campaign_snapshot", campaign, name="everyday-1")
    assert DatasetVersion.objects.get().num_rows == 3
    page = text_of(browser.get(page_of(campaign)))
    assert "everyday-1 is frozen with 3 comparisons." in page.replace("&#x27;", "'")
    assert 'value="everyday-2"' in page
    refused = post(browser, "campaign_snapshot", campaign, name="everyday-1")
    assert refused.status_code == 409
    assert "everyday-1" in text_of(refused)


def test_a_campaign_without_rankings_is_not_frozen_and_says_why(browser, campaign):
    answer = post(browser, "campaign_snapshot", campaign, name="too-early")
    assert answer.status_code == 409
    assert "Everyday has no ranking yet." in text_of(answer)
    assert not DatasetVersion.objects.exists()


def test_raters_join_and_leave(browser, campaign, ada):
    eve = a_person("eve")
    post(browser, "campaign_raters", campaign, raters=[eve.pk])
    assert campaign.membership_set.filter(user=eve, is_active=True).exists()
    browser.post(reverse("campaign_rater_remove", args=[campaign.slug, "eve"]))
    assert campaign.membership_set.get(user=eve).is_active is False
    assert "no longer ranks here" in text_of(browser.get(page_of(campaign)))


def test_a_researcher_can_not_be_made_a_rater(browser, campaign):
    rex = a_person("rex", role=Role.RESEARCHER)
    assert post(browser, "campaign_raters", campaign, raters=[rex.pk]).status_code == 400
    assert not campaign.membership_set.filter(user=rex).exists()


def test_a_guideline_is_revised_by_a_new_version(browser, campaign):
    post(browser, "campaign_guideline", campaign, text="Be *fairer*.")
    page = text_of(browser.get(page_of(campaign)))
    assert "Guideline, version 2" in page
    assert "Be <em>fairer</em>." in page


def test_the_part_that_moves_comes_alone(browser, campaign, ada):
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    part = text_of(browser.get(page_of(campaign), headers={"HX-Request": "true"}))
    assert "<html" not in part
    assert "1 of 6 rankings" in part


def test_of_many_raters_the_busiest_stand_there_and_the_rest_a_click_away(browser, campaign, ada):
    campaign.raters.add(*(a_person(f"rater-{number:02}") for number in range(30)))
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    part = text_of(browser.get(page_of(campaign), headers={"HX-Request": "true"}))
    shown = re.findall(r'<th scope="row">([\w-]+)', part)
    assert shown == ["ada", "bea", *(f"rater-{number:02}" for number in range(18))]
    everybody = text_of(browser.get(re.search(r'href="([^"]+)">See all raters', part).group(1)))
    assert "rater-29" in everybody


def test_simulated_raters_are_marked_where_they_are_counted(browser, campaign):
    simulated = a_person("simulated-1", is_simulated=True)
    campaign.raters.add(simulated)
    submit_ranking(lease_next(campaign, rater=simulated), rater=simulated, submission=a_submission())
    page = text_of(browser.get(page_of(campaign)))
    assert page.count('class="simulated"') >= 2
    assert 'class="simulated"' in text_of(browser.get(reverse("campaigns")))


def test_a_researcher_sees_campaigns_and_changes_nothing(campaign, ada):
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    browser = client_of(a_person("rex", role=Role.RESEARCHER))
    page = text_of(browser.get(page_of(campaign)))
    for name in ("campaign_state", "campaign_imports", "campaign_raters", "campaign_guideline"):
        address = reverse(name, args=[campaign.slug])
        assert address not in page
        assert browser.post(address).status_code == 403
    assert reverse("campaign_snapshot", args=[campaign.slug]) in page


@pytest.mark.parametrize("num", [1, 8])
def test_the_list_takes_as_many_queries_for_many_campaigns(browser, num, django_assert_num_queries):
    for n in range(num):
        a_campaign(name=f"Campaign {n}", num_prompts=1)
    with django_assert_num_queries(9):
        browser.get(reverse("campaigns"))


def test_every_step_has_one_primary_button(browser, empty, ada):
    def primaries() -> list[str]:
        page = text_of(browser.get(page_of(empty))).split('<div class="toasts"')[0]
        return [piece.split(">")[1].split("<")[0].strip() for piece in page.split("btn primary")[1:]]

    assert primaries() == ["Check file"]
    bring(browser, empty, upload("p.txt", "One?"))
    a_model("writer", role="sft")
    assert primaries() == ["Write completions"]


def test_the_open_button_leads_once_there_are_tasks(browser, ada):
    campaign = a_campaign(raters=[ada])
    Campaign.objects.update(state=CampaignState.DRAFT)
    assert Completion.objects.exists()
    page = text_of(browser.get(page_of(campaign))).split('<div class="toasts"')[0]
    assert page.count("btn primary") == 1
    assert "Open to raters" in page.split("btn primary")[1][:40]
