"""Campaigns made like others: settings and guideline always, prompts and completions where wanted, rankings never."""

from __future__ import annotations

import pytest

from accounts.models import Role
from annotation.models import Campaign, CampaignState, Completion, Ranking, RankingTask, TaskKind
from annotation.services.assign import lease_next
from annotation.services.campaigns import NameTaken, add_raters, revise_guideline, set_state
from annotation.services.cloning import clone_campaign
from annotation.services.completions import MERGED, BetterVersion, make_tasks, save_tasks
from annotation.services.guidelines import add_example
from annotation.services.judge import Edit
from annotation.services.rank import submit_ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission, answers

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(db):
    return a_person("grace", role=Role.ADMIN)


@pytest.fixture
def ranked(ada) -> Campaign:
    """Three tasks, one of them ranked with a better version."""
    campaign = a_campaign(raters=[ada])
    campaign.attributes = [{"name": "helpful", "levels": 5, "low": "no", "high": "yes", "is_required": False}]
    campaign.lease_minutes = 7
    campaign.save()
    revise_guideline(campaign, text="Be fairer.", user=None)
    add_example(campaign, user=None, prompt="Why?", texts=["So.", "No."], order="a > b", why="It says why.")
    edited = a_submission("a>b>c", edit=Edit("a", "A better one."))
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=edited)
    return campaign


def test_a_clone_has_the_settings_and_the_guideline_as_they_are_now(ranked, grace):
    made = clone_campaign(ranked, name="Everyday, again", user=grace)
    assert (made.state, made.k, made.overlap, made.lease_minutes) == (CampaignState.DRAFT, 3, 2, 7)
    assert made.attributes == ranked.attributes
    guideline = made.guidelines.get()
    assert (guideline.number, guideline.text, len(guideline.examples)) == (1, "Be fairer.", 1)
    assert not made.prompts.exists()
    assert not made.raters.exists()
    assert made.created_by == grace


def test_with_prompts_it_has_those_and_no_completion(ranked):
    made = clone_campaign(ranked, name="Again", user=None, with_prompts=True)
    assert set(made.prompts.values_list("content_hash", "split")) == set(
        ranked.prompts.values_list("content_hash", "split")
    )
    assert not Completion.objects.filter(prompt__campaign=made).exists()


def test_with_completions_it_has_the_same_tasks_with_every_place_free(ranked):
    RankingTask.objects.filter(pk=ranked.tasks.first().pk).update(kind=TaskKind.GOLD)
    made = clone_campaign(ranked, name="Again", user=None, with_completions=True)
    assert not Ranking.objects.filter(task__campaign=made).exists()
    assert made.slots.filter(is_free=True).count() == made.slots.count() == 4

    def texts(campaign: Campaign) -> list[list[str]]:
        work = campaign.tasks.filter(kind=TaskKind.WORK)
        return sorted([entry.completion.text for entry in task.entries.order_by("index")] for task in work)

    assert texts(made) == texts(ranked)
    assert not Completion.objects.filter(prompt__campaign=made, parent__isnull=False).exists()
    assert not Completion.objects.filter(prompt__campaign=made, text="A better one.").exists()


def test_a_clone_can_be_ranked_and_nothing_of_it_is_the_originals(ranked, ada):
    made = clone_campaign(ranked, name="Again", user=None, with_completions=True)
    add_raters(made, raters=[ada], user=None)
    set_state(made, to=CampaignState.OPEN, user=None)
    submit_ranking(lease_next(made, rater=ada), rater=ada, submission=a_submission("a>b>c"))
    assert Ranking.objects.filter(task__campaign=ranked).count() == 1
    assert make_tasks(made) == 0


def test_completions_that_were_merged_stay_so(grace):
    campaign = a_campaign(num_prompts=1, k=3)
    answers(campaign.prompts.get(), "same", "same", "other")
    make_tasks(campaign)
    made = clone_campaign(campaign, name="Again", user=grace, with_completions=True)
    merged = Completion.objects.get(prompt__campaign=made, sampling__has_key=MERGED)
    assert Completion.objects.get(pk=merged.sampling[MERGED]).prompt.campaign == made
    assert make_tasks(made) == 0


def test_a_taken_name_makes_nothing(ranked, grace):
    with pytest.raises(NameTaken):
        clone_campaign(ranked, name="Everyday", user=grace, with_completions=True)
    assert Campaign.objects.count() == 1


def test_by_page_and_api_a_campaign_is_cloned(ranked, grace):
    client = client_of(grace)
    page = client.post(f"/campaigns/{ranked.slug}/clone/", {"name": "By page", "with_prompts": "on"})
    assert page.headers["Location"] == "/campaigns/by-page/"
    assert client.post(f"/campaigns/{ranked.slug}/clone/", {"name": "By page"}).status_code == 400
    address = f"/api/v1/annotation/campaigns/{ranked.slug}/clones/"
    answer = client.post(address, {"name": "By API", "with_completions": True}, content_type="application/json")
    assert (answer.status_code, answer.json()["slug"]) == (201, "by-api")
    assert Campaign.objects.get(slug="by-api").tasks.count() == 3
    assert client.post(address, {"name": "By API"}, content_type="application/json").status_code == 409


def test_a_better_version_is_kept_out_of_every_task(ranked):
    better = Completion.objects.get(parent__isnull=False)
    group = [better, *better.prompt.completions.filter(parent=None)[:2]]
    with pytest.raises(BetterVersion):
        save_tasks(ranked, [(better.prompt_id, group)])
    assert not RankingTask.objects.filter(completions=better).exists()
