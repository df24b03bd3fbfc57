"""Reviewing by the API alone: what the review pages do, for whom they do it, and nothing of checks or of models."""

from __future__ import annotations

import json
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User
from annotation.models import Adjudication, Appeal, Campaign, GoldAnswer, Ranking, RankingTask, Remark, Standing
from annotation.rails import review_letters
from annotation.services.assign import lease_next
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.review import returned_to
from annotation.services.standing import appeal, pause
from audit.models import AuditEvent
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission
from tests.annotation.checks import (
    Rule,
    gold_of,
    in_order,
    rank_next,
    reversed_order,
    right_order,
    standing_of,
    texts_on,
)

pytestmark = pytest.mark.django_db
BASE = "/api/v1/annotation/"


@pytest.fixture
def rex(db) -> User:
    return a_person("rex", role=Role.REVIEWER)


@pytest.fixture
def reviewer(rex) -> Client:
    return client_of(rex)


@pytest.fixture
def torn(campaign, ada, bea) -> Campaign:
    """Ada puts lower numbers first; Bea does so too, but for the second question, of which she says the opposite."""
    for rater in (ada, bea):
        while (assignment := lease_next(campaign, rater=rater)) is not None:
            is_second = assignment.task.prompt.messages[-1]["content"] == "Question 1?"
            rule: Rule = reversed_order if rater == bea and is_second else in_order
            order = ">".join("=".join(tier) for tier in rule(texts_on(assignment)))
            submit_ranking(assignment, rater=rater, submission=a_submission(order, seconds=20.0))
    return campaign


def send(client: Client, path: str, body: object = None):
    return client.post(BASE + path, json.dumps(body or {}), content_type="application/json")


def disputed_task(campaign: Campaign) -> RankingTask:
    return campaign.tasks.get(prompt__messages__0__content="Question 1?", kind="work")


def typed(task: RankingTask, tiers: list[list[str]]) -> str:
    letters = review_letters(task)
    return " > ".join("=".join(letters[name] for name in tier) for tier in tiers)


def error_of(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_disagreements_come_first_with_all_orders_in_one_set_of_letters(reviewer, torn):
    told = reviewer.get(f"{BASE}disagreements/").json()["results"]
    assert [one["agreement"] for one in told] == [0.0, 1.0, 1.0]
    first, task = told[0], disputed_task(torn)
    assert (first["id"], first["campaign"], first["asked"]) == (str(task.pk), torn.slug, "Question 1?")
    right = right_order(task)
    assert {one["rater"]: one["order"] for one in first["said"]} == {
        "ada": typed(task, right),
        "bea": typed(task, right[::-1]),
    }
    assert (first["settled"], first["is_gold"]) == (None, False)


def test_a_task_is_told_with_its_texts_and_no_model_is_named(reviewer, torn):
    task = disputed_task(torn)
    answer = reviewer.get(f"{BASE}disagreements/{task.pk}/")
    told = answer.json()
    assert told["prompt"] == [{"role": "user", "content": "Question 1?"}]
    texts = {one["letter"]: one["text"] for one in told["texts"]}
    assert texts == {letter: task.completions.get(pk=pk).text for pk, letter in review_letters(task).items()}
    listed = reviewer.get(f"{BASE}disagreements/").content
    assert b"secret-model" not in answer.content + listed


def test_one_campaign_alone_is_asked_for_and_pages_hold_every_task_once(reviewer, torn, ada, bea):
    other = a_campaign(raters=[ada, bea], num_prompts=1, name="Other")
    for rater in (ada, bea):
        rank_next(other, rater)
    assert [one["campaign"] for one in reviewer.get(f"{BASE}disagreements/?campaign=other").json()["results"]] == [
        "other"
    ]
    found, address = [], f"{BASE}disagreements/?page_size=1"
    while address:
        page = reviewer.get(address).json()
        found += [one["id"] for one in page["results"]]
        address = page["next"]
    assert len(found) == len(set(found)) == 4
    assert reviewer.get(f"{BASE}disagreements/?campaign=nowhere").status_code == 404
    assert reviewer.get(f"{BASE}disagreements/?settled=perhaps").status_code == 400


def test_the_list_takes_as_many_queries_for_many_tasks(reviewer, torn):
    counts = []
    for size in (1, 3):
        with CaptureQueriesContext(connection) as asked:
            reviewer.get(f"{BASE}disagreements/?page_size={size}")
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 10


def test_an_order_is_settled_settled_anew_and_taken_back(reviewer, torn, rex):
    task = disputed_task(torn)
    where = f"disagreements/{task.pk}/adjudications/"
    order = typed(task, right_order(task))
    made = send(reviewer, where, {"order": order, "reason": "The lower number."})
    assert (made.status_code, made.json()["order"], made.json()["by"]) == (201, order, "rex")
    assert Adjudication.objects.get().tiers == right_order(task)
    assert [one["id"] for one in reviewer.get(f"{BASE}disagreements/?settled=true").json()["results"]] == [str(task.pk)]
    assert error_of(send(reviewer, where, {"order": order})) == (409, "settled_meanwhile")
    settled = reviewer.get(f"{BASE}disagreements/{task.pk}/").json()["settled"]
    anew = send(reviewer, where, {"order": "a = b = c", "over": settled["id"]})
    assert anew.status_code == 201
    back = f"adjudications/{anew.json()['id']}/withdrawal/"
    assert send(reviewer, back).json()["is_live"] is False
    assert error_of(send(reviewer, back)) == (409, "settled_meanwhile")
    assert not Adjudication.objects.filter(is_live=True).exists()
    assert AuditEvent.objects.filter(action="task.settled", actor=rex).count() == 2


def test_what_does_not_fit_is_refused_and_nothing_is_settled(reviewer, torn, ada, bea):
    task = disputed_task(torn)
    where = f"disagreements/{task.pk}/adjudications/"
    assert error_of(send(reviewer, where, {"order": "a > b"})) == (400, "bad_order")
    assert error_of(send(reviewer, where, {"order": "a > b > c", "tiers": []})) == (400, "invalid")
    assert error_of(send(reviewer, where, {"order": "a > b > c", "over": str(uuid.uuid4())})) == (404, "not_found")
    (gold,) = gold_of(torn, 1)
    assert send(reviewer, f"disagreements/{gold.task_id}/adjudications/", {"order": "a > b > c"}).status_code == 404
    assert reviewer.get(f"{BASE}disagreements/{gold.task_id}/").status_code == 404
    other = torn.tasks.exclude(pk=task.pk).filter(kind="work").first()
    settled = send(reviewer, f"disagreements/{other.pk}/adjudications/", {"order": "a > b > c"}).json()["id"]
    assert send(reviewer, where, {"order": "a > b > c", "over": settled}).status_code == 404
    assert Adjudication.objects.get().task == other


def test_a_ranking_is_remarked_on_and_returned(reviewer, torn, bea):
    ranking = Ranking.objects.get(rater=bea, task=disputed_task(torn))
    where = f"rankings/{ranking.pk}/remarks/"
    assert send(reviewer, where, {"words": "Interesting."}).json()["returns"] is False
    assert returned_to(bea) == []
    assert send(reviewer, where, {"words": "The wrong way round?", "returns": True}).status_code == 201
    assert [one.words for one in returned_to(bea)] == ["The wrong way round?"]
    (mine,) = [
        one for one in reviewer.get(f"{BASE}disagreements/").json()["results"][0]["said"] if one["rater"] == "bea"
    ]
    assert [one["words"] for one in mine["remarks"]] == ["Interesting.", "The wrong way round?"]
    assert send(reviewer, where, {"words": " "}).status_code == 400
    correct_ranking(ranking, rater=bea, submission=a_submission("a>b>c"))
    assert error_of(send(reviewer, where, {"words": "Once more."})) == (409, "superseded")
    assert Remark.objects.count() == 2


def test_ones_own_ranking_and_answers_to_checks_can_not_be_remarked_on(reviewer, torn, rex, ada):
    torn.raters.add(rex)
    RankingTask.objects.filter(pk=disputed_task(torn).pk).update(kind="gold")
    check = Ranking.objects.get(rater=ada, task__kind="gold")
    assert send(reviewer, f"rankings/{check.pk}/remarks/", {"words": "Wrong."}).status_code == 404
    own = Ranking.objects.filter(rater=ada, task__kind="work").first()
    Ranking.objects.filter(pk=own.pk).update(rater=rex)
    assert error_of(send(reviewer, f"rankings/{own.pk}/remarks/", {"words": "Mine."})) == (403, "not_allowed")


def test_gold_is_made_of_a_task(reviewer, torn):
    task = disputed_task(torn)
    body = {"order": typed(task, right_order(task)), "explanation": "Lower is better.", "use": "test"}
    made = send(reviewer, f"disagreements/{task.pk}/gold/", body)
    assert made.status_code == 201
    assert (made.json()["use"], made.json()["of_task"], made.json()["made_by"]) == ("test", str(task.pk), "rex")
    assert GoldAnswer.objects.get().tiers == right_order(task)
    assert error_of(send(reviewer, f"disagreements/{task.pk}/gold/", body)) == (409, "gold_twice")
    assert error_of(send(reviewer, f"disagreements/{task.pk}/gold/", {"order": "a=b=c"})) == (400, "bad_gold")
    assert reviewer.get(f"{BASE}disagreements/{task.pk}/").json()["is_gold"]


@pytest.fixture
def appealed(campaign, ada) -> Appeal:
    pause(campaign, rater=ada, reason="Too fast.", user=None)
    return appeal(campaign, rater=ada, words="I knew the texts.")


def test_an_appeal_is_heard_and_lifted_once(reviewer, campaign, appealed, ada):
    (told,) = reviewer.get(f"{BASE}appeals/").json()["results"]
    assert (told["rater"], told["words"], told["paused_for"]) == ("ada", "I knew the texts.", "Too fast.")
    where = f"appeals/{appealed.pk}/decision/"
    assert error_of(send(reviewer, where, {"to": "open"})) == (400, "invalid")
    assert error_of(send(reviewer, where, {"to": "upheld"})) == (400, "bad_words")
    lifted = send(reviewer, where, {"to": "lifted"})
    assert (lifted.status_code, lifted.json()["state"], lifted.json()["decided_by"]) == (200, "lifted", "rex")
    assert standing_of(campaign, ada) == Standing.TRUSTED
    assert error_of(send(reviewer, where, {"to": "lifted"})) == (409, "no_appeal")
    assert reviewer.get(f"{BASE}appeals/").json()["results"] == []
    decided = reviewer.get(f"{BASE}appeals/?state=lifted&campaign={campaign.slug}").json()["results"]
    assert [one["id"] for one in decided] == [str(appealed.pk)]


def test_a_pause_stays_with_an_answer(reviewer, campaign, appealed, ada):
    body = {"to": "upheld", "answer": "Nobody reads that fast."}
    assert send(reviewer, f"appeals/{appealed.pk}/decision/", body).json()["answer"] == "Nobody reads that fast."
    assert standing_of(campaign, ada) == Standing.PAUSED


def test_nobody_decides_her_own_appeal(campaign, reviewer, rex):
    campaign.raters.add(rex)
    pause(campaign, rater=rex, reason="Too fast.", user=None)
    own = appeal(campaign, rater=rex, words="I was not.")
    assert error_of(send(reviewer, f"appeals/{own.pk}/decision/", {"to": "lifted"})) == (403, "not_allowed")
    assert standing_of(campaign, rex) == Standing.PAUSED


@pytest.mark.parametrize("role", [Role.RATER, Role.RESEARCHER])
def test_who_does_not_review_sees_and_settles_nothing(torn, appealed, role):
    client, task = client_of(a_person("rita", role=role)), disputed_task(torn)
    ranking = Ranking.objects.filter(task=task).first()
    for path in ("disagreements/", f"disagreements/{task.pk}/", "appeals/"):
        assert client.get(BASE + path).status_code == 403
    for path, body in (
        (f"disagreements/{task.pk}/adjudications/", {"order": "a > b > c"}),
        (f"disagreements/{task.pk}/gold/", {"order": "a > b > c"}),
        (f"rankings/{ranking.pk}/remarks/", {"words": "No."}),
        (f"appeals/{appealed.pk}/decision/", {"to": "lifted"}),
    ):
        assert send(client, path, body).status_code == 403
    assert not Adjudication.objects.exists()
    assert not Remark.objects.exists()
    assert not GoldAnswer.objects.exists()
