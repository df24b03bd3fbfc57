"""Reviewers: disagreements first, orders settled for good and for snapshots, rankings returned to raters."""

from __future__ import annotations

import threading
import uuid

import pytest
from django.db import connection
from django.urls import reverse

from accounts.errors import NotAllowed, UserError
from accounts.models import Role
from annotation.models import Adjudication, GoldAnswer, Ranking, RankingTask, TaskKind
from annotation.rails import review_letters
from annotation.services.assign import lease_next
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.review import (
    BadAdjudication,
    NotLive,
    SettledMeanwhile,
    adjudicate,
    disputed,
    remark,
    returned_to,
    unsettle,
)
from annotation.services.snapshot import freeze_snapshot
from annotation.services.standing import BadWords
from audit.models import AuditEvent
from registry.services.datasets import read_rows
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission
from tests.annotation.checks import a_plan, gold_of, in_order, rank_next, reversed_order, texts_on


@pytest.fixture
def rex(db):
    return a_person("rex", role=Role.REVIEWER)


@pytest.fixture
def torn(campaign, ada, bea):
    """On the first question they agree, on the second they say the opposite, on the third one pair of three is alike."""
    rules = {
        "0": (in_order, in_order), "1": (in_order, reversed_order),
        "2": (in_order, lambda texts: rotated(in_order(texts))),
    }  # fmt: skip
    for rater, number in ((ada, 0), (bea, 1)):
        while (assignment := lease_next(campaign, rater=rater)) is not None:
            texts = texts_on(assignment)
            question = assignment.task.prompt.messages[-1]["content"][-2]
            tiers = rules[question][number](texts)
            submit_ranking(assignment, rater=rater, submission=a_submission(">".join(tier[0] for tier in tiers)))
    return campaign


def rotated(tiers: list[list[str]]) -> list[list[str]]:
    return [tiers[2], tiers[0], tiers[1]]


def asked(task: RankingTask) -> str:
    return task.prompt.messages[-1]["content"]


def question(campaign, number: int) -> RankingTask:
    return next(task for task in campaign.tasks.all() if asked(task) == f"Question {number}?")


def line_for(task: RankingTask, *, best_first: bool = True) -> str:
    """The order that the texts say themselves, in the letters of reviewers."""
    letters = review_letters(task)
    texts = sorted(task.completions.all(), key=lambda one: one.text, reverse=not best_first)
    return " > ".join(letters[str(one.pk)] for one in texts)


def test_those_who_agree_least_come_first(torn):
    found = disputed(torn, shows_settled=False).order_by("agreement")
    assert [(asked(task), task.agreement) for task in found] == [
        ("Question 1?", 0.0),
        ("Question 2?", pytest.approx(1 / 3)),
        ("Question 0?", 1.0),
    ]


def test_agreement_follows_corrections(torn, bea):
    task = question(torn, 1)
    hers = Ranking.objects.get(task=task, rater=bea)
    right = ">".join(tier[0] for tier in in_order(texts_on(hers.assignment)))
    correct_ranking(hers, rater=bea, submission=a_submission(right))
    task.refresh_from_db()
    assert task.agreement == 1.0


def test_a_task_that_one_ranked_or_whose_raters_tie_all_is_no_disagreement(campaign, ada, bea):
    rank_next(campaign, ada)
    assert not disputed(campaign, shows_settled=False).exists()
    rank_next(campaign, bea, rule=lambda texts: [sorted(texts)])
    for _ in range(2):
        rank_next(campaign, bea, rule=lambda texts: [sorted(texts)])
    assert not disputed(campaign, shows_settled=False).exists()


def test_checks_are_no_disagreements(ada, bea, rex):
    campaign = a_campaign(raters=[ada, bea], num_prompts=20, overlap=2)
    gold_of(campaign, 20)
    a_plan(campaign, gold_share=0.5, false_alarm=1e-9)
    for _ in range(15):
        rank_next(campaign, ada)
        rank_next(campaign, bea, rule=reversed_order)
    gold = RankingTask.objects.filter(kind=TaskKind.GOLD, rankings__isnull=False).first()
    assert set(disputed(campaign, shows_settled=False).values_list("kind", flat=True)) <= {TaskKind.WORK}
    browser = client_of(rex)
    assert browser.get(reverse("review_task", args=[gold.pk])).status_code == 404
    assert browser.post(reverse("review_settle", args=[gold.pk]), {"order": "a > b > c"}).status_code == 404


def test_a_settled_order_stands_in_place_of_the_rankings_in_a_snapshot(torn, rex):
    task = question(torn, 1)
    settled = adjudicate(task, line=line_for(task), reason="The first is right.", user=rex)
    frozen = freeze_snapshot(torn, name="s", user=None)
    assert (frozen.query["num_rankings"], frozen.query["num_settled"]) == (5, 1)
    assert "1 of the orders were settled by a reviewer" in frozen.card
    rows = [row for split in ("train", "test") for row in read_rows(frozen, split=split)]
    mine = [row for row in rows if row["prompt"][0]["content"] == "Question 1?"]
    assert {row["ranking_id"] for row in mine} == {str(settled.pk)}
    assert {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in mine} == {
        (f"Answer {i} to question 1.", f"Answer {j} to question 1.") for i, j in ((0, 1), (0, 2), (1, 2))
    }
    assert sum(row["weight"] for row in mine) == pytest.approx(1.0)
    assert not any(row["simulated"] for row in mine)
    assert len({row["rater"] for row in rows}) == 3


def test_what_is_unsettled_leaves_the_raters_own_rankings(torn, rex):
    task = question(torn, 1)
    settled = adjudicate(task, line=line_for(task), reason="", user=rex)
    unsettle(task, seen=settled, user=rex)
    frozen = freeze_snapshot(torn, name="s", user=None)
    assert (frozen.query["num_rankings"], frozen.query["num_settled"]) == (6, 0)
    with pytest.raises(SettledMeanwhile):
        unsettle(task, seen=settled, user=rex)


def test_settling_again_supersedes_only_what_was_seen(torn, rex):
    task = question(torn, 1)
    first = adjudicate(task, line=line_for(task), reason="", user=rex)
    second = adjudicate(task, line=line_for(task, best_first=False), reason="", user=rex, over=first)
    for seen in (None, first):
        with pytest.raises(SettledMeanwhile):
            adjudicate(task, line=line_for(task), reason="", user=rex, over=seen)
    assert Adjudication.objects.get(is_live=True) == second
    assert Adjudication.objects.count() == 2
    assert list(AuditEvent.objects.filter(action="task.settled").values_list("actor", flat=True)) == [rex.pk] * 2


@pytest.mark.parametrize("line", ["", "a > b", "a > b > d", "a > a > b > c", "a > ", "nonsense"])
def test_an_order_that_cannot_be_read_settles_nothing(torn, rex, line):
    with pytest.raises(BadAdjudication):
        adjudicate(question(torn, 1), line=line, reason="", user=rex)
    assert not Adjudication.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_once_one_settles(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=2)
    rex, task = a_person("rex", role=Role.REVIEWER), campaign.tasks.get()
    gate, told = threading.Barrier(4), []

    def settle() -> None:
        gate.wait()
        try:
            told.append(adjudicate(task, line="a > b > c", reason="", user=rex) is not None)
        except UserError as error:
            told.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=settle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, told)) == ["True", *["settled_meanwhile"] * 3]


def test_a_ranking_that_came_back_is_on_her_list_until_she_corrects_it(torn, ada, bea, rex):
    hers = Ranking.objects.get(task=question(torn, 1), rater=bea)
    remark(hers, words="Is this the wrong way round?", returns=True, user=rex)
    remark(Ranking.objects.get(task=question(torn, 0), rater=bea), words="Well done.", returns=False, user=rex)
    assert [one.words for one in returned_to(bea)] == ["Is this the wrong way round?"]
    page = client_of(bea).get(reverse("my_work")).content.decode()
    assert "Came back to you" in page
    assert page.count("Is this the wrong way round?") == 2  # on her list, and beside the ranking
    assert "Well done." in page
    assert "Came back to you" not in client_of(ada).get(reverse("my_work")).content.decode()
    right = ">".join(tier[0] for tier in in_order(texts_on(hers.assignment)))
    correct_ranking(hers, rater=bea, submission=a_submission(right))
    assert returned_to(bea) == []
    with pytest.raises(NotLive):
        remark(hers, words="Once more.", returns=True, user=rex)


def test_a_remark_has_words_and_is_to_somebody_else(torn, bea, rex):
    hers = Ranking.objects.get(task=question(torn, 1), rater=bea)
    with pytest.raises(BadWords):
        remark(hers, words=" \n", returns=True, user=rex)
    with pytest.raises(NotAllowed):
        remark(hers, words="I was right.", returns=False, user=bea)


# Pages


def page_of(answer) -> str:
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_shows_all_orders_by_name_and_no_model(torn, rex):
    page = page_of(client_of(rex).get(reverse("review")))
    assert page.index("Question 1?") < page.index("Question 2?") < page.index("Question 0?")
    assert page.count("<dt>ada") == page.count("<dt>bea") == 3
    task = question(torn, 1)
    whole = page_of(client_of(rex).get(reverse("review_task", args=[task.pk])))
    assert "Answer 2 to question 1." in whole
    for text in (page, whole):
        assert "secret-model" not in text


def test_the_list_is_narrowed_by_its_address_and_paged_by_cursor(torn, ada, bea, rex, monkeypatch):
    other = a_campaign(raters=[ada, bea], num_prompts=2, name="Other")
    for rater in (ada, bea):
        while rank_next(other, rater):
            pass
    browser = client_of(rex)
    assert page_of(browser.get(reverse("review"))).count("<dt>ada") == 5
    assert page_of(browser.get(reverse("review"), {"campaign": "other"})).count("<dt>ada") == 2
    assert browser.get(reverse("review"), {"campaign": "nothing"}).status_code == 404
    monkeypatch.setattr("annotation.review_views.PAGE", 2)
    page, seen = browser.get(reverse("review")), []
    while True:
        found = page.context["page"]
        seen += [task.agreement for task in found.items]
        if not found.next_url:
            break
        page = browser.get(found.next_url)
    assert seen == sorted(seen)
    assert len(seen) == 5


def test_the_list_takes_as_many_queries_for_many_disagreements(torn, rex, django_assert_max_num_queries):
    browser = client_of(rex)
    with django_assert_max_num_queries(15):
        browser.get(reverse("review"))


def test_a_reviewer_settles_makes_gold_and_returns_by_form(torn, ada, bea, rex):
    browser, task = client_of(rex), question(torn, 1)
    where = reverse("review_task", args=[task.pk])
    bad = browser.post(reverse("review_settle", args=[task.pk]), {"order": "a > b", "reason": "because"})
    assert bad.status_code == 400
    assert "Not ranked yet: C." in bad.content.decode()
    assert "because</textarea>" in bad.content.decode()
    line = line_for(task)
    browser.post(reverse("review_settle", args=[task.pk]), {"order": line, "reason": "because"})
    page = page_of(browser.get(where))
    assert "Settled by rex" in page
    assert "Question 1?" not in page_of(browser.get(reverse("review")))
    assert "Question 1?" in page_of(browser.get(reverse("review"), {"show": "settled"}))
    live = Adjudication.objects.get()
    browser.post(reverse("review_gold", args=[task.pk]), {"order": line, "explanation": "E", "use": "test"})
    gold = GoldAnswer.objects.get()
    assert (gold.task.kind, gold.tiers, gold.made_by) == (TaskKind.TEST, live.tiers, rex)
    assert browser.post(reverse("review_gold", args=[task.pk]), {"order": line, "use": "test"}).status_code == 409
    hers = Ranking.objects.get(task=task, rater=bea)
    assert browser.post(reverse("review_remark", args=[hers.pk]), {"words": ""}).status_code == 400
    browser.post(reverse("review_remark", args=[hers.pk]), {"words": "Look.", "returns": "1"})
    assert returned_to(bea)[0].words == "Look."
    browser.post(reverse("review_unsettle", args=[task.pk]), {"over": live.pk})
    assert "Settled by rex" not in page_of(browser.get(where))


def test_raters_and_researchers_see_nothing_of_it(torn, ada):
    task = question(torn, 1)
    researcher = a_person("ren", role=Role.RESEARCHER)
    for user in (ada, researcher):
        browser = client_of(user)
        assert browser.get(reverse("review")).status_code == 403
        assert browser.get(reverse("review_task", args=[task.pk])).status_code == 403
        assert browser.post(reverse("review_settle", args=[task.pk]), {"order": "a > b > c"}).status_code == 403
        assert browser.post(reverse("review_appeal", args=[uuid.uuid4()])).status_code == 403
        assert browser.get(reverse("campaign_quality", args=[torn.slug])).status_code == 403
    assert not Adjudication.objects.exists()
