"""AI feedback for those who run a campaign: its page, what is frozen by page, API and command, and that raters see none of it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role, User
from annotation.models import Campaign, RankingTask, Slot
from annotation.quality.ai_gate import Rule
from annotation.services.ai_overview import judges_of
from annotation.services.campaigns import create_campaign
from annotation.services.snapshot import ShuffledAlone, freeze_snapshot
from registry.models import DatasetVersion
from registry.services.datasets import freeze_dataset
from registry.services.export import files_of
from registry.services.mixing import Part, mix_preferences
from runs.models import Run
from tests.accounts.people import client_of
from tests.annotation.arrange import a_person
from tests.annotation.feedback import judgements_of, take
from tests.annotation.test_ai_feedback import more_prompts, pairs_campaign, rank_all, sabotaged, wise
from tests.rlhf.principles import wording
from tests.runs.conftest import a_model


@pytest.fixture
def grace(db) -> User:
    return a_person("grace", role=Role.ADMIN)


@pytest.fixture
def arrange(db, ada, tmp_path):
    def arranged(judge=wise, *, num_prompts=70):
        campaign = pairs_campaign(raters=[ada], num_prompts=num_prompts, people_share=60)
        take(campaign, judgements_of(campaign, judge), tmp_path)
        rank_all(campaign, ada)
        return campaign, User.objects.get(username="ai:rules")

    return arranged


def page(user, campaign, **headers):
    return client_of(user).get(reverse("campaign_ai_feedback", args=[campaign.slug]), headers=headers)


# Pages


def test_the_page_says_who_judged_and_what_the_gate_lets_through(arrange, grace):
    campaign, _ = arrange()
    answer = page(grace, campaign)
    text = answer.content.decode()
    (judge,) = answer.context["judges"]
    assert judge.num_judgements == judge.num_counted == 70 and judge.num_for_people == 0
    assert 'data-passes="yes"' in text and "ai:rules" in text and "by rules" in text
    assert 'data-passes="no"' not in text and "Have people rank the rest" not in text


def test_a_campaign_may_ask_for_more_agreement_than_is_usual(arrange, grace):
    campaign, rater = arrange()
    assert judges_of(campaign)[0].gate.overall.passes
    asked = Rule(accuracy=0.99)
    Campaign.objects.filter(pk=campaign.pk).update(ai_rule=asdict(asked))
    campaign.refresh_from_db()
    (judge,) = page(grace, campaign).context["judges"]
    assert judge.gate.rule == asked and not judge.gate.overall.passes and judge.num_counted == 0
    frozen = freeze_snapshot(campaign, name="strict", user=None, feedback=rater)
    assert frozen.query["ai"]["rule"] == asdict(asked) and frozen.query["ai"]["num_rankings"] == 0


def test_what_is_held_back_is_given_to_people_once(arrange, grace, ada):
    campaign, rater = arrange(sabotaged(0.35))
    assert 'data-passes="no"' in page(grace, campaign).content.decode()
    waiting = RankingTask.objects.filter(slots__isnull=True).count()
    assert page(grace, campaign).context["judges"][0].num_waiting == waiting > 10
    url = reverse("campaign_ai_rest", args=[campaign.slug, rater.pk])
    assert client_of(grace).post(url).status_code == 302
    assert Slot.objects.count() == 70 and RankingTask.objects.filter(slots__isnull=True).count() == 0
    client_of(grace).post(url)
    assert Slot.objects.count() == 70
    assert client_of(grace).post(reverse("campaign_ai_rest", args=[campaign.slug, ada.pk])).status_code == 404


def test_the_page_costs_no_more_queries_for_more_tasks(arrange, grace, ada, tmp_path, django_assert_max_num_queries):
    campaign, _ = arrange(num_prompts=4)
    browser, url = client_of(grace), reverse("campaign_ai_feedback", args=[campaign.slug])
    with CaptureQueriesContext(connection) as few:
        browser.get(url)
    more_prompts(campaign, num=40)
    take(campaign, judgements_of(campaign, wise), tmp_path)
    rank_all(campaign, ada, number=10)
    assert len(few) < 20
    with django_assert_max_num_queries(len(few)):
        assert browser.get(url).context["judges"][0].num_judgements == 44


def test_no_rater_and_no_reviewer_finds_a_word_of_it(arrange, ada):
    campaign, rater = arrange()
    for user in (ada, a_person("rita", role=Role.REVIEWER)):
        assert page(user, campaign).status_code == 403
        for name in ("rank_any", "my_work", "home"):
            text = client_of(user).get(reverse(name), follow=True).content.decode()
            assert "ai:rules" not in text and "AI feedback" not in text
        assert client_of(user).post(reverse("campaign_ai_rest", args=[campaign.slug, rater.pk])).status_code == 403
    rex = a_person("rex", role=Role.RESEARCHER)
    assert page(rex, campaign).status_code == 200
    assert client_of(rex).post(reverse("campaign_ai_rest", args=[campaign.slug, rater.pk])).status_code == 403


def test_feedback_is_asked_for_from_the_page(db, ada, grace):
    campaign = pairs_campaign(raters=[ada], num_prompts=3)
    constitution = freeze_dataset("rules-v1", kind="constitution", splits={"train": [wording().as_row()]}, user=None)
    model = a_model("judge-1", role="sft")
    url = reverse("campaign_ai_ask", args=[campaign.slug])
    refused = client_of(grace).post(url, {"constitution": constitution.pk, "critic": "model", "preset": "tiny"})
    assert refused.status_code == 400 and "Choose the model that judges." in refused.content.decode()
    assert not Run.objects.filter(method="judge").exists()
    asked = {"constitution": constitution.pk, "critic": "model", "model": model.pk, "preset": "tiny"}
    assert client_of(grace).post(url, asked).status_code == 302
    run = Run.objects.get(method="judge")
    assert run.preset == "tiny" and run.recipe["critic"] == "model" and run.recipe["batch_size"] == 8
    twice = client_of(grace).post(url, asked)
    assert twice.status_code == 409 and "judging this campaign now" in twice.content.decode()


def test_an_endpoint_may_judge(db, ada, grace):
    campaign = pairs_campaign(raters=[ada], num_prompts=3)
    constitution = freeze_dataset("rules-v1", kind="constitution", splits={"train": [wording().as_row()]}, user=None)
    url = reverse("campaign_ai_ask", args=[campaign.slug])
    asked = {"constitution": constitution.pk, "critic": "endpoint", "preset": "tiny", "url": "http://127.0.0.1:9/v1"}
    refused = client_of(grace).post(url, asked)
    assert refused.status_code == 400 and "An endpoint needs an address" in refused.content.decode()
    evil = client_of(grace).post(url, asked | {"served": "judge", "key_variable": "DATABASE_PASSWORD"})
    assert evil.status_code == 400 and not Run.objects.filter(method="judge").exists()
    assert (
        client_of(grace).post(url, asked | {"served": "judge", "key_variable": "STEADYHAND_KEY_X"}).status_code == 302
    )
    run = Run.objects.get(method="judge")
    assert run.recipe["critic"] == "endpoint" and run.recipe["endpoint"]["key_variable"] == "STEADYHAND_KEY_X"
    assert run.inputs.filter(name="model").count() == 0


def test_the_share_of_people_is_set_before_there_are_tasks(db, ada, grace):
    campaign = create_campaign("Fresh", k=2, overlap=1, guideline="Be fair.", user=None, raters=[ada])
    url = reverse("campaign_people_share", args=[campaign.slug])
    assert client_of(grace).post(url, {"people_share": 30}).status_code == 302
    campaign.refresh_from_db()
    assert campaign.people_share == 30
    bad = client_of(grace).post(url, {"people_share": 130})
    assert bad.status_code == 400 and "0 to 100 percent, not 130" in bad.content.decode()
    with_tasks = pairs_campaign(raters=[ada], num_prompts=2)
    late = client_of(grace).post(reverse("campaign_people_share", args=[with_tasks.slug]), {"people_share": 30})
    assert late.status_code == 409 and "has tasks already" in late.content.decode()


# Freezing


def test_a_snapshot_takes_labels_by_page_api_and_command_alike(arrange, grace, capsys):
    campaign, rater = arrange()
    browser = client_of(grace)
    shown = browser.get(reverse("campaign", args=[campaign.slug])).content.decode()
    assert "Labels of" in shown and 'id="gate-lines"' in shown
    line = page(grace, campaign, **{"HX-Request": "true"}).content.decode()
    assert "agrees with 100 %" in line and "The labels of 70 of its 70 tasks count" in line and "<h1>" not in line

    url = reverse("campaign_snapshot", args=[campaign.slug])
    answer = browser.post(url, {"name": "by-page", "ai_rater": rater.username}, follow=True)
    assert "of the rankings are by ai:rules" in answer.content.decode()
    browser.post(url, {"name": "people-alone", "ai_rater": ""})
    api = f"/api/v1/annotation/campaigns/{campaign.slug}/snapshots/"
    body = {"name": "by-api", "ai_rater": rater.username}
    assert browser.post(api, json.dumps(body), content_type="application/json").status_code == 201
    call_command("snapshot", campaign.slug, "by-command", "--ai-rater", rater.username, "--as", "grace", "--json")
    assert json.loads(capsys.readouterr().out)["ai"]["rater"] == "ai:rules"

    made = {one.name: one for one in DatasetVersion.objects.filter(kind="preference")}
    assert len({made[name].num_rows for name in ("by-page", "by-api", "by-command")}) == 1
    assert made["by-page"].query["ai"] == made["by-api"].query["ai"] == made["by-command"].query["ai"]
    assert made["by-page"].num_rows > made["people-alone"].num_rows and "ai" not in made["people-alone"].query
    assert made["by-page"].query["num_raters"] == 1, "a feedback model is none of the raters"
    assert made["by-page"].is_simulated and not made["people-alone"].is_simulated, "a list of words is no model"
    assert "AI labels" in browser.get(reverse("dataset", args=[made["by-page"].pk])).content.decode()


def test_who_never_judged_it_is_refused_with_a_sentence(arrange, grace, ada, capsys):
    campaign, rater = arrange(num_prompts=5)
    browser = client_of(grace)
    answer = browser.post(reverse("campaign_snapshot", args=[campaign.slug]), {"name": "x", "ai_rater": "ada"})
    assert answer.status_code == 400 and "This is no feedback model that judged here." in answer.content.decode()
    api = f"/api/v1/annotation/campaigns/{campaign.slug}/snapshots/"
    told = browser.post(api, json.dumps({"name": "x", "ai_rater": "ada"}), content_type="application/json")
    assert told.status_code == 404 and told.json()["error"]["code"] == "no_ai_feedback"
    with pytest.raises(SystemExit):
        call_command("snapshot", campaign.slug, "x", "--ai-rater", "ada", "--as", "grace")
    assert "no_ai_feedback: ada is no feedback model that judged Pairs." in capsys.readouterr().err
    with pytest.raises(ShuffledAlone):
        freeze_snapshot(campaign, name="x", user=None, shuffled_seed=1, feedback=rater)
    assert not DatasetVersion.objects.filter(name="x").exists()


def exported(dataset):
    files = {file.path: b"".join(file.chunks).decode() for file in files_of(dataset, fmt="rankings-jsonl")}
    rows = [json.loads(line) for line in files["data/train.jsonl"].splitlines()]
    return files["README.md"], [ranking for row in rows for ranking in row["rankings"]]


def test_whole_rankings_leave_with_their_labels_marked_and_a_mix_keeps_them(arrange):
    campaign, rater = arrange()
    both = freeze_snapshot(campaign, name="both", user=None, feedback=rater)
    card, rankings = exported(both)
    by_ai = [one for one in rankings if one["ai"]]
    assert "`ai`" in card and len(by_ai) == both.query["ai"]["num_rankings"] > 10
    for one in by_ai:
        assert one["rater"] == "ai:rules"
        (label,) = one["labels"]
        assert label["label"] == 0.9 and label["principle"] == "harm" and [label["chosen"]] == one["tiers"][0]
    people = [one for one in rankings if not one["ai"]]
    assert people and all(one["labels"] == [] and one["rater"].startswith("r-") for one in people)

    alone = freeze_snapshot(campaign, name="alone", user=None)
    card, rankings = exported(alone)
    assert "`ai`" not in card and all("ai" not in one and "labels" not in one for one in rankings)

    _, rankings = exported(mix_preferences("mixed", [Part(alone, 0.5), Part(both, 0.5)], user=None))
    assert {one["rater"] == "ai:rules" for one in rankings if one["ai"]} == {True} and any(
        one["labels"] == [] for one in rankings
    )


# Accounts


def test_a_feedback_model_stands_marked_among_people_and_nothing_is_done_to_it(arrange, grace):
    _, rater = arrange(num_prompts=2)
    browser = client_of(grace)
    text = browser.get(reverse("people")).content.decode()
    assert "ai:rules" in text and "Feedback model" in text and f"person-{rater.pk}" not in text
    before = User.objects.filter(pk=rater.pk).values().get()
    for view, fields in (
        ("person_role", {"role": "admin"}),
        ("person_active", {"active": "yes"}),
        ("person_password", {}),
        ("person_abilities", {"languages": "en", "skills": ""}),
    ):
        answer = browser.post(reverse(view, args=[rater.pk]), fields)
        assert answer.status_code == 409 and "nobody logs in in its name" in answer.content.decode(), view
    assert User.objects.filter(pk=rater.pk).values().get() == before
