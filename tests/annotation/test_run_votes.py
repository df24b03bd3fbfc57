"""What a running run asks becomes tasks once, and the rankings that come in time its answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from annotation.models import (
    CampaignState,
    CannotRank,
    Completion,
    Prompt,
    Ranking,
    RankingTask,
    RunQuestion,
    TaskKind,
)
from annotation.services.assign import lease_next
from annotation.services.campaigns import set_state
from annotation.services.completions import make_tasks
from annotation.services.prompts import add_prompts
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.snapshot import freeze_snapshot
from annotation.services.votes import BadAudience, attend
from runs.audience import NoAudience
from runs.models import Run
from runs.services.start import NoReward, start_run
from tests.accounts.people import client_of, person
from tests.annotation.arrange import a_submission
from tests.annotation.arrange import answers as answers_of
from tests.annotation.asking_runs import VOTES, a_sheet, an_asking_run, an_empty_campaign, rank
from tests.runs.conftest import a_model
from training import questions

pytestmark = pytest.mark.django_db

FOUR = ["a one", "b two", "c three", "d four"]


@pytest.fixture
def campaign(ada, bea):
    return an_empty_campaign(ada, bea)


@pytest.fixture
def run(campaign):
    return an_asking_run(campaign)


def answers(run, number=0):
    return questions.read_answers(questions.answers_path(run.folder, number))


def named(question):
    return {one.text[0]: one.id for one in question.completions}


# Asked


def test_each_question_becomes_one_ordinary_task_however_often_it_is_seen(run, campaign):
    sheet = a_sheet(run, FOUR, ["e", "f", "g", "h"])
    for _ in range(3):
        attend(run)
    tasks = RankingTask.objects.filter(campaign=campaign)
    assert tasks.count() == 2 and {task.kind for task in tasks} == {TaskKind.WORK}
    assert {str(row.pk) for row in RunQuestion.objects.all()} == {question.id for question in sheet.questions}
    assert answers(run).num_complete(sheet) == 0 and not answers(run).is_closed


def test_the_database_refuses_a_second_task_for_a_question(run, campaign):
    a_sheet(run, FOUR)
    attend(run)
    row = RunQuestion.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        RunQuestion.objects.create(id=row.pk, run=run, campaign=campaign, number=0, deadline_at=row.deadline_at)


def test_a_prompt_that_is_asked_about_again_later_is_the_same_prompt_with_a_task_more(run, campaign):
    a_sheet(run, FOUR, number=0)
    a_sheet(run, ["e", "f", "g", "h"], number=1)
    attend(run)
    assert Prompt.objects.get().tasks.count() == 2
    assert make_tasks(campaign) == 0  # nothing of them is left over for other tasks


def test_what_a_run_waits_for_goes_before_what_nobody_waits_for(run, campaign, ada):
    add_prompts(campaign, rows=[{"prompt": "Question 0?"}, {"prompt": "Another?"}], user=None)
    for prompt in campaign.prompts.all():
        answers_of(prompt, "w", "x", "y", "z")
    assert make_tasks(campaign) == 2
    a_sheet(run, FOUR)
    attend(run)
    assert lease_next(campaign, rater=ada).task.asked_by.number == 0


def test_what_was_taken_is_attended_to_no_more(run):
    sheet = a_sheet(run, FOUR)
    questions.write(questions.taken_path(run.folder, sheet.number), questions.Answers())
    attend(run)
    assert not RankingTask.objects.exists()


# Answered


def test_a_ranking_is_the_answer(run, campaign, ada):
    sheet = a_sheet(run, FOUR)
    attend(run)
    rank(campaign, ada, by="cabd")
    attend(run)
    (question,) = sheet.questions
    told, ids = answers(run).answers[question.id], named(question)
    assert told.rankings == [[[ids["c"]], [ids["a"]], [ids["b"]], [ids["d"]]]]
    assert told.is_complete and answers(run).num_complete(sheet) == 1


def test_of_several_raters_all_are_heard_and_the_last_one_completes_it(ada, bea):
    campaign = an_empty_campaign(ada, bea, overlap=2, name="Two")
    run = an_asking_run(campaign)
    (question,) = a_sheet(run, FOUR).questions
    attend(run)
    rank(campaign, ada, by="abcd")
    attend(run)
    assert not answers(run).answers[question.id].is_complete
    rank(campaign, bea, by="dcba")
    attend(run)
    told = answers(run).answers[question.id]
    assert len(told.rankings) == 2 and told.is_complete


def test_a_text_that_came_twice_is_ranked_once_and_tied_with_itself(run, campaign, ada):
    (question,) = a_sheet(run, ["a one", "b two", "a one ", "d four"]).questions
    attend(run)
    assert RankingTask.objects.get().entries.count() == 3
    rank(campaign, ada, by="bad")
    attend(run)
    (tiers,) = answers(run).answers[question.id].rankings
    ids = [one.id for one in question.completions]
    assert tiers == [[ids[1]], [ids[0], ids[2]], [ids[3]]]


def test_of_one_text_alone_nobody_is_asked(run):
    (question,) = a_sheet(run, ["same"] * 4).questions
    attend(run)
    assert not RankingTask.objects.exists() and not Completion.objects.exists()
    told = answers(run).answers[question.id]
    assert told.is_complete and len(told.rankings[0][0]) == 4


def test_what_cannot_be_ranked_is_complete_and_no_ranking(run, campaign, ada):
    (question,) = a_sheet(run, FOUR).questions
    attend(run)
    none = a_submission("a", cannot_rank=CannotRank.UNCLEAR)
    none = type(none)(client_uuid=none.client_uuid, tiers=[], cannot_rank=CannotRank.UNCLEAR)
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=none)
    attend(run)
    told = answers(run).answers[question.id]
    assert told.rankings == [] and told.is_complete


def test_a_correction_counts_in_place_of_what_it_corrects(run, campaign, ada):
    (question,) = a_sheet(run, FOUR).questions
    attend(run)
    ranking = rank(campaign, ada, by="abcd")
    correct_ranking(ranking, rater=ada, submission=a_submission("a=b=c=d"))
    attend(run)
    ((tier,),) = answers(run).answers[question.id].rankings
    assert len(tier) == 4


def test_a_ranking_after_the_deadline_is_the_campaigns_and_no_answer(run, campaign, ada):
    (question,) = a_sheet(run, FOUR, deadline=timezone.now() - timedelta(minutes=1)).questions
    attend(run)
    rank(campaign, ada)
    attend(run)
    assert answers(run).is_closed
    assert answers(run).answers[question.id].rankings == []
    assert Ranking.objects.get().task.kind == TaskKind.WORK
    assert freeze_snapshot(campaign, name="late", user=None).num_rows == 6


def test_a_correction_after_the_deadline_leaves_the_answer_as_it_was(run, campaign, ada):
    (question,) = a_sheet(run, FOUR).questions
    attend(run)
    ranking = rank(campaign, ada, by="abcd")
    before = timezone.now() - timedelta(minutes=2)
    Ranking.objects.filter(pk=ranking.pk).update(created_at=before)
    sheet = replace(questions.read_sheet(run.folder, 0), deadline_at=(before + timedelta(minutes=1)).isoformat())
    questions.write(questions.sheet_path(run.folder, 0), sheet)
    correct_ranking(ranking, rater=ada, submission=a_submission("a=b=c=d"))
    attend(run)
    (tiers,) = answers(run).answers[question.id].rankings
    assert len(tiers) == 4


# Blind


def test_raters_see_nothing_of_the_run(run, campaign, ada):
    a_sheet(run, FOUR)
    attend(run)
    seen = client_of(ada).get(reverse("rank", args=[campaign.slug])).content.decode()
    assert "a one" in seen
    for secret in (run.title, str(run.pk), "rloo", "rollout"):
        assert secret not in seen


# At the doors


def test_a_run_that_asks_people_must_be_told_whom(run, campaign):
    for context, refused in (({}, NoAudience), ({"voters": "nobody"}, BadAudience)):
        with pytest.raises(refused):
            again(run, context=context)
    set_state(campaign, to=CampaignState.CLOSED, user=None)
    with pytest.raises(BadAudience, match="closed"):
        again(run, context={"voters": campaign.slug})


def test_a_run_that_nobody_would_judge_is_refused_at_every_door_before_it_is_made(run, campaign, capsys):
    inputs = {entry.name: entry.artifact for entry in run.inputs.all()}
    assert "reward" not in inputs
    admin, sentence = client_of(person(Role.ADMIN)), "Nobody would score the completions: choose a reward model, or let"
    for method in ("rloo", "grpo", "online_dpo"):
        with pytest.raises(NoReward, match=sentence):
            start_run(method, recipe={}, inputs=inputs, user=None)
        ids = {name: str(artifact.pk) for name, artifact in inputs.items()}
        page = admin.post(reverse("launch", args=[method]), {"preset": "tiny", **ids})
        assert page.status_code == 400 and sentence in page.content.decode()
        body = {"method": method, "preset": "tiny", "inputs": ids}
        answer = admin.post("/api/v1/runs/", json.dumps(body), content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no_reward")
        told = [f"--input={name}={pk}" for name, pk in ids.items()]
        with pytest.raises(SystemExit):
            call_command("run", method, "--preset=tiny", *told)
        assert f"no_reward: {sentence}" in capsys.readouterr().err
    assert Run.objects.count() == 1


def test_a_text_of_the_first_model_is_one_more_in_the_task_under_another_name(run, campaign, ada):
    sheet = a_sheet(run, FOUR)
    (question,) = sheet.questions
    last = replace(question.completions[-1], is_first=True)
    sheet = replace(sheet, questions=[replace(question, completions=[*question.completions[:-1], last])])
    questions.write(questions.sheet_path(run.folder, 0), sheet)
    attend(run)
    labels = dict(Completion.objects.filter(prompt__campaign=campaign).values_list("text", "model_label"))
    assert labels["a one"] == "Secret title" and labels["d four"] == "Secret title: first model"
    rank(campaign, ada, by="dabc")
    attend(run)
    (answer,) = answers(run).answers.values()
    assert answer.rankings[0][0] == [last.id]


def test_more_texts_than_people_rank_at_a_time_are_refused(campaign):
    with pytest.raises(BadAudience, match="at most 9 texts"):
        an_asking_run(campaign, recipe={"k": 16, "batch_size": 32})
    votes = {"deadline_minutes": 10, "against_first": True}
    with pytest.raises(BadAudience, match="at most 9 texts at a time, not 10"):
        an_asking_run(campaign, recipe={"k": 9, "batch_size": 18, "minibatch_size": 9, "votes": votes})


def again(run, *, context):
    inputs = {entry.name: entry.artifact for entry in run.inputs.all()}
    return start_run("rloo", recipe=VOTES, inputs=inputs, user=None, context=context)


def test_the_launch_page_offers_the_campaigns_and_starts_a_run_that_asks_one(run, campaign):
    admin = client_of(person(Role.ADMIN))
    address = reverse("launch", args=["rloo"])
    assert f'<option value="{campaign.slug}">{campaign.name}</option>' in admin.get(address).content.decode()
    inputs = {entry.name: entry.artifact_id for entry in run.inputs.all()}
    form = {"preset": "tiny", **inputs, "votes": "on", "votes.deadline_minutes": "30"}
    refused = admin.post(address, form)
    assert refused.status_code == 400 and "no_audience" in refused.content.decode()
    admin.post(address, {**form, "campaign": campaign.slug})
    started = Run.objects.exclude(pk=run.pk).get()
    assert started.context == {"voters": str(campaign.pk)}
    assert started.recipe["votes"] == {"deadline_minutes": 30.0, "against_first": False}


def test_a_form_without_votes_asks_nobody(run, campaign):
    admin = client_of(person(Role.ADMIN))
    inputs = {entry.name: entry.artifact_id for entry in run.inputs.all()}
    inputs["reward"] = a_model("judge", role="reward").artifact.pk  # somebody must score what is written
    admin.post(reverse("launch", args=["rloo"]), {"preset": "tiny", **inputs, "campaign": ""})
    assert Run.objects.exclude(pk=run.pk).get().recipe["votes"] is None
    assert "Campaign whose raters" not in admin.get(reverse("launch", args=["ppo"])).content.decode()


def test_a_program_chooses_the_campaign_too(run, campaign):
    admin = client_of(person(Role.ADMIN))
    body = {
        "method": "rloo", "recipe": VOTES, "campaign": campaign.slug,
        "inputs": {entry.name: str(entry.artifact_id) for entry in run.inputs.all()},
    }  # fmt: skip
    told = admin.post("/api/v1/runs/", body, content_type="application/json")
    assert told.status_code == 201, told.json()
    assert told.json()["context"] == {"voters": str(campaign.pk)}
    refused = admin.post("/api/v1/runs/", body | {"campaign": "nobody"}, content_type="application/json")
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "bad_audience"


def test_the_campaigns_page_names_the_run_that_asks_its_raters(run, campaign):
    admin = client_of(person(Role.ADMIN))
    assert run.title in admin.get(reverse("campaign", args=[campaign.slug])).content.decode()
