"""What a browser kept and sends later: under its own rater's name, once, and in place of what may not have arrived."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from annotation.models import Assignment, AssignmentState, Ranking
from annotation.services.assign import lease_next
from annotation.services.rank import AlreadyRanked, submit_instead, submit_ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_submission

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}


def test_what_did_not_arrive_is_replaced_by_a_first_ranking(campaign, ada):
    task = lease_next(campaign, rater=ada)
    made = submit_instead(task, rater=ada, submission=a_submission("b>a>c"), instead_of=[uuid.uuid4()])
    assert made.supersedes is None


def test_what_did_arrive_is_corrected(campaign, ada):
    task = lease_next(campaign, rater=ada)
    first = submit_ranking(task, rater=ada, submission=a_submission("a>b>c"))
    made = submit_instead(task, rater=ada, submission=a_submission("c>b>a"), instead_of=[first.client_uuid])
    assert made.supersedes == first
    assert Ranking.objects.get(is_live=True) == made


def test_of_several_that_may_have_arrived_the_one_that_counts_is_corrected(campaign, ada):
    task = lease_next(campaign, rater=ada)
    first = submit_ranking(task, rater=ada, submission=a_submission("a>b>c"))
    sent = [first.client_uuid, uuid.uuid4()]
    assert submit_instead(task, rater=ada, submission=a_submission("c>a>b"), instead_of=sent).supersedes == first


def test_sent_again_it_is_the_same_row(campaign, ada):
    task = lease_next(campaign, rater=ada)
    first = submit_ranking(task, rater=ada, submission=a_submission("a>b>c"))
    anew = a_submission("c>b>a")
    rows = {submit_instead(task, rater=ada, submission=anew, instead_of=[first.client_uuid]).pk for _ in range(3)}
    assert len(rows) == 1
    assert Ranking.objects.count() == 2


def test_the_one_that_was_replaced_and_comes_late_changes_nothing(campaign, ada):
    task, late = lease_next(campaign, rater=ada), a_submission("a>b>c")
    made = submit_instead(task, rater=ada, submission=a_submission("c>b>a"), instead_of=[late.client_uuid])
    with pytest.raises(AlreadyRanked):
        submit_ranking(task, rater=ada, submission=late)
    assert Ranking.objects.get() == made


def test_what_another_rater_sent_is_no_more_hers_to_replace(campaign, ada, bea):
    hers = submit_ranking(lease_next(campaign, rater=bea), rater=bea, submission=a_submission())
    mine = lease_next(campaign, rater=ada)
    made = submit_instead(mine, rater=ada, submission=a_submission(), instead_of=[hers.client_uuid])
    assert made.supersedes is None
    hers.refresh_from_db()
    assert hers.is_live


@pytest.mark.parametrize("name", ["rank_submit", "rank_skip"])
def test_another_person_at_the_same_browser_does_not_send_it(campaign, ada, bea, name):
    desk = client_of(bea)
    desk.get(reverse("rank", args=[campaign.slug]))
    mine = Assignment.objects.get(rater=bea)
    form = {"assignment": mine.pk, "client_uuid": uuid.uuid4(), "order": "a>b>c", "rater": ada.pk}
    answer = desk.post(reverse(name, args=[campaign.slug]), form, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "other_person")
    mine.refresh_from_db()
    assert mine.state == AssignmentState.LIVE


def test_a_correction_is_told_to_a_script_like_a_ranking(campaign, ada):
    task = lease_next(campaign, rater=ada)
    first = submit_ranking(task, rater=ada, submission=a_submission("a>b>c"))
    form = {"client_uuid": uuid.uuid4(), "order": "c > b > a", "rater": ada.pk}
    told = client_of(ada).post(reverse("rank_correct", args=[first.pk]), form, headers=JSON).json()
    assert told["ranking"] == str(Ranking.objects.get(is_live=True).pk)
    assert told["num_mine"] == 1


@pytest.mark.parametrize("line", ["a > b", "a b", ""])
def test_a_refusal_is_a_sentence_for_a_script(campaign, ada, line):
    task = lease_next(campaign, rater=ada)
    form = {"assignment": task.pk, "client_uuid": uuid.uuid4(), "order": line, "rater": ada.pk}
    answer = client_of(ada).post(reverse("rank_submit", args=[campaign.slug]), form, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_ranking")
    assert not Ranking.objects.exists()
