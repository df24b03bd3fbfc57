"""Who gets which task, for how long, and what becomes of one that is left lying."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.errors import NotFound
from annotation.models import Assignment, AssignmentState, CampaignState, Slot
from annotation.services.assign import NotARater, NotOpen, lease_next
from annotation.services.campaigns import remove_rater, set_state
from annotation.services.leases import BadDraft, LeaseLost, renew, save_draft, skip
from annotation.services.progress import campaign_progress
from annotation.services.rank import submit_ranking
from annotation.tasks import sweep_leases
from tests.annotation.arrange import a_campaign, a_person, a_submission, add_more, run_out

pytestmark = pytest.mark.django_db


def work_through(campaign, rater):
    tasks = []
    while (assignment := lease_next(campaign, rater=rater)) is not None:
        tasks.append(assignment.task_id)
        submit_ranking(assignment, rater=rater, submission=a_submission(">".join(assignment.letters())))
    return tasks


def test_a_rater_gets_every_task_once_and_then_nothing(campaign, ada):
    tasks = work_through(campaign, ada)
    assert len(tasks) == len(set(tasks)) == 3


def test_a_task_is_ranked_by_as_many_as_are_wanted_and_no_more(campaign, ada, bea):
    carl = a_person("carl")
    add_more(campaign, carl)
    counts = [len(work_through(campaign, rater)) for rater in (ada, bea, carl)]
    assert counts == [3, 3, 0]
    assert campaign_progress(campaign).slots_done == campaign_progress(campaign).slots == 6


def test_asking_twice_gives_the_same_task(campaign, ada):
    assert lease_next(campaign, rater=ada).pk == lease_next(campaign, rater=ada).pk


def test_the_order_shown_is_stored_and_is_not_always_the_same(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=12, k=4, overlap=1)
    work_through(campaign, ada)
    places = set()
    for assignment in Assignment.objects.all():
        made = [str(pk) for pk in assignment.task.entries.values_list("completion_id", flat=True)]
        assert sorted(made) == sorted(assignment.order)
        places.add(tuple(made.index(pk) for pk in assignment.order))
    assert len(places) > 3  # of 24 orders in 12 draws; the chance of fewer is below 1e-6


def test_the_sweep_frees_the_slots_of_leases_that_ran_out_though_nobody_asks_for_work(campaign, ada, bea):
    mine, hers = lease_next(campaign, rater=ada), lease_next(campaign, rater=bea)
    run_out(mine)
    assert sweep_leases() == 1
    assert not Slot.objects.get(pk=hers.slot_id).is_free
    assert Slot.objects.get(pk=mine.slot_id).is_free
    assert sweep_leases() == 0


def test_a_lease_ends_by_the_databases_clock_and_not_by_that_of_a_web_host(ada, bea, monkeypatch):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    mine = lease_next(campaign, rater=ada)
    monkeypatch.setattr("django.utils.timezone.now", lambda: mine.leased_at + timedelta(days=1))
    assert lease_next(campaign, rater=bea) is None
    assert renew(mine, rater=ada).lease_until < mine.leased_at + timedelta(hours=1)


def test_a_lease_that_ran_out_frees_its_slot_for_another(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    mine = lease_next(campaign, rater=ada)
    assert lease_next(campaign, rater=bea) is None
    run_out(mine)
    hers = lease_next(campaign, rater=bea)
    assert hers.task_id == mine.task_id
    mine.refresh_from_db()
    assert mine.state == AssignmentState.EXPIRED


def test_a_task_that_ran_out_comes_back_in_the_same_order_with_its_draft(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1)
    first = lease_next(campaign, rater=ada)
    save_draft(first, rater=ada, draft={"tiers": [["b"]]})
    run_out(first)
    again = lease_next(campaign, rater=ada)
    assert again.pk != first.pk
    assert (again.order, again.draft) == (first.order, {"tiers": [["b"]]})


def test_a_renewed_lease_lasts_longer(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    assert renew(assignment, rater=ada).lease_until > assignment.lease_until


def test_what_was_given_away_cannot_be_renewed(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    mine = lease_next(campaign, rater=ada)
    run_out(mine)
    lease_next(campaign, rater=bea)
    with pytest.raises(LeaseLost, match="still taken when you submit"):
        renew(mine, rater=ada)


def test_a_skipped_task_goes_to_others_and_never_back(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    mine = lease_next(campaign, rater=ada)
    skip(mine, rater=ada, reason="I don't know the subject")
    skip(mine, rater=ada, reason="again")
    assert lease_next(campaign, rater=ada) is None
    assert lease_next(campaign, rater=bea).task_id == mine.task_id
    mine.refresh_from_db()
    assert mine.skip_reason == "I don't know the subject"


def test_nobody_touches_the_desk_of_another(campaign, ada, bea):
    mine = lease_next(campaign, rater=ada)
    for touch in (renew, skip):
        with pytest.raises(NotFound):
            touch(mine, rater=bea)
    with pytest.raises(NotFound):
        save_draft(mine, rater=bea, draft={})


def test_a_draft_too_large_is_refused(campaign, ada):
    with pytest.raises(BadDraft):
        save_draft(lease_next(campaign, rater=ada), rater=ada, draft={"reason": "x" * 300_000})


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_a_draft_that_no_database_could_keep_is_refused(campaign, ada, text):
    with pytest.raises(BadDraft, match="in the draft"):
        save_draft(lease_next(campaign, rater=ada), rater=ada, draft={"reason": text})


def test_only_members_of_an_open_campaign_get_work(campaign, ada):
    with pytest.raises(NotARater):
        lease_next(campaign, rater=a_person("eve"))
    set_state(campaign, to=CampaignState.PAUSED, user=None)
    with pytest.raises(NotOpen):
        lease_next(campaign, rater=ada)
    set_state(campaign, to=CampaignState.OPEN, user=None)
    remove_rater(campaign, rater=ada, user=None)
    with pytest.raises(NotARater):
        lease_next(campaign, rater=ada)


def test_a_slot_is_taken_exactly_while_somebody_holds_it(campaign, ada, bea):
    lease_next(campaign, rater=ada)
    skip(lease_next(campaign, rater=bea), rater=bea)
    held = Slot.objects.filter(assignments__state__in=[AssignmentState.LIVE, AssignmentState.DONE])
    assert set(held) == set(Slot.objects.filter(is_free=False))
