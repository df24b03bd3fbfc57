"""The task after the one in hand: leased before it is asked for, never more than two, given back when she leaves."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from annotation.models import Assignment, AssignmentState, Completion, Slot
from annotation.services.ahead import give_back, lease_ahead
from annotation.services.assign import NotARater, NotOpen, lease_next
from annotation.services.campaigns import remove_rater, set_state
from annotation.services.desk import desks_of
from annotation.services.leases import save_draft
from annotation.services.rank import submit_ranking
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission, run_out

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}


def live(rater) -> list[Assignment]:
    return list(Assignment.objects.filter(rater=rater, state=AssignmentState.LIVE).order_by("leased_at"))


def test_the_next_task_is_another_one_under_a_lease_of_its_own(campaign, ada):
    first = lease_next(campaign, rater=ada)
    second = lease_ahead(first, rater=ada)
    assert second.task_id != first.task_id
    assert second.slot_id != first.slot_id
    assert live(ada) == [first, second]


def test_she_never_holds_more_than_two(campaign, ada):
    first = lease_next(campaign, rater=ada)
    second = lease_ahead(first, rater=ada)
    assert {lease_ahead(first, rater=ada).pk for _ in range(3)} == {second.pk}
    assert lease_ahead(second, rater=ada).pk == first.pk  # of two, the other one
    assert len(live(ada)) == 2


def test_the_one_that_she_was_given_first_is_on_her_desk_until_it_is_submitted(campaign, ada):
    first = lease_next(campaign, rater=ada)
    second = lease_ahead(first, rater=ada)
    assert lease_next(campaign, rater=ada).pk == first.pk
    submit_ranking(first, rater=ada, submission=a_submission())
    assert lease_next(campaign, rater=ada).pk == second.pk
    assert lease_ahead(second, rater=ada).task_id not in (first.task_id, second.task_id)


def test_a_task_that_was_submitted_or_ran_out_has_none_after_it(campaign, ada):
    first = lease_next(campaign, rater=ada)
    run_out(first)
    assert lease_ahead(first, rater=ada) is None
    assert live(ada) == []


def test_what_is_fetched_ahead_counts_for_the_overlap_like_any_other(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=2, overlap=1)
    first = lease_next(campaign, rater=ada)
    second = lease_ahead(first, rater=ada)
    assert lease_next(campaign, rater=bea) is None
    assert give_back(second, rater=ada)
    assert lease_next(campaign, rater=bea).task_id == second.task_id
    assert lease_ahead(first, rater=ada) is None


def test_what_was_given_back_comes_again_in_the_same_order(campaign, ada):
    first = lease_next(campaign, rater=ada)
    second = lease_ahead(first, rater=ada)
    give_back(second, rater=ada)
    again = lease_ahead(first, rater=ada)
    assert (again.task_id, again.order) == (second.task_id, second.order)


def test_what_she_began_is_not_given_back(campaign, ada):
    second = lease_ahead(lease_next(campaign, rater=ada), rater=ada)
    save_draft(second, rater=ada, draft={"line": "a"})
    assert not give_back(second, rater=ada)
    assert len(live(ada)) == 2


def test_giving_back_twice_frees_one_slot_once(campaign, ada):
    second = lease_ahead(lease_next(campaign, rater=ada), rater=ada)
    assert [give_back(second, rater=ada) for _ in range(2)] == [True, False]
    assert Slot.objects.filter(is_free=False).count() == 1


def test_nobody_gets_more_who_may_not_rank(campaign, ada):
    first = lease_next(campaign, rater=ada)
    set_state(campaign, to="paused", user=None)
    with pytest.raises(NotOpen):
        lease_ahead(first, rater=ada)
    set_state(campaign, to="open", user=None)
    remove_rater(campaign, rater=ada, user=None)
    with pytest.raises(NotARater):
        lease_ahead(first, rater=ada)


def test_a_desk_counts_both_that_are_in_her_hands(campaign, ada):
    before = desks_of(ada)[0].num_waiting
    lease_ahead(lease_next(campaign, rater=ada), rater=ada)
    assert desks_of(ada)[0].num_waiting == before


# At the door


@pytest.fixture
def desk(campaign, ada):
    browser = client_of(ada)
    browser.get(reverse("rank", args=[campaign.slug]))
    return browser


def ask(desk, campaign, name="rank_ahead", **fields):
    return desk.post(reverse(name, args=[campaign.slug]), fields, headers=JSON if name == "rank_renew" else None)


def test_the_page_gets_the_next_task_whole(desk, campaign, ada):
    [first] = live(ada)
    answer = ask(desk, campaign, assignment=first.pk)
    text = answer.content.decode()
    _, second = live(ada)
    assert str(second.pk) in text
    assert str(first.pk) not in text
    assert 'id="task"' in text and 'id="judgement"' in text and "<html" not in text
    assert answer.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")


def test_there_is_no_more_hint_in_it_of_who_wrote_what_than_in_the_page(desk, campaign, ada):
    text = ask(desk, campaign, assignment=live(ada)[0].pk).content.decode()
    assert "Answer 1" in text
    assert "secret-model" not in text
    for completion in Completion.objects.all():
        assert str(completion.pk) not in text


def test_where_nothing_follows_there_is_nothing_to_show(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1)
    desk = client_of(ada)
    desk.get(reverse("rank", args=[campaign.slug]))
    assert ask(desk, campaign, assignment=live(ada)[0].pk).status_code == 204
    set_state(campaign, to="paused", user=None)
    assert ask(desk, campaign, assignment=live(ada)[0].pk).status_code == 204


def test_both_leases_are_renewed_together_and_what_is_lost_is_told(desk, campaign, ada):
    [first] = live(ada)
    ask(desk, campaign, assignment=first.pk)
    _, second = live(ada)
    renewed = ask(desk, campaign, "rank_renew", assignment=first.pk, ahead=second.pk).json()
    assert min(renewed.values()) > 19 * 60
    ask(desk, campaign, "rank_give_back", assignment=second.pk)
    assert ask(desk, campaign, "rank_renew", assignment=first.pk, ahead=second.pk).json()["ahead_seconds"] == 0


def test_nobody_fetches_or_gives_back_for_another(desk, campaign, ada):
    [first] = live(ada)
    stranger = client_of(a_person("eve"))
    for name in ("rank_ahead", "rank_give_back"):
        assert ask(stranger, campaign, name, assignment=first.pk).status_code == 404
    assert live(ada) == [first]


def test_a_task_that_was_refused_can_be_opened_by_name(desk, campaign, ada):
    [first] = live(ada)
    ask(desk, campaign, assignment=first.pk)
    _, second = live(ada)
    page = reverse("rank", args=[campaign.slug])
    assert str(second.pk) in desk.get(page, {"task": second.pk}).content.decode()
    assert str(first.pk) in desk.get(page, {"task": uuid.uuid4()}).content.decode()
    assert str(first.pk) in desk.get(page, {"task": "nonsense"}).content.decode()
