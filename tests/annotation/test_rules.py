"""How work is given out: limits, what skipping does, languages and skills, which tasks go first."""

from __future__ import annotations

import pytest

from accounts.services import BadPerson, set_abilities
from annotation.models import Assignment, AssignmentState, Membership, RankingTask, SkipMode, Slot
from annotation.services.assign import LimitReached, lease_next
from annotation.services.campaigns import BadCampaign, create_campaign
from annotation.services.completions import make_tasks
from annotation.services.desk import desks_of
from annotation.services.leases import NeedsReason, expire_leases, skip
from annotation.services.progress import campaign_progress
from annotation.services.prompts import BadPrompt, add_prompts
from annotation.services.rank import submit_ranking
from annotation.services.rules import change_rules, set_limit, set_priority
from tests.annotation.arrange import a_campaign, a_submission, answers, run_out

pytestmark = pytest.mark.django_db


def ranked(campaign, rater, line="a>b>c"):
    lease = lease_next(campaign, rater=rater)
    submit_ranking(lease, rater=rater, submission=a_submission(line))
    return lease


# Limits


def test_a_rater_is_told_in_one_sentence_when_she_has_ranked_as_many_as_one_person_may(campaign, ada):
    change_rules(campaign, user=None, most_rankings=2)
    for _ in range(2):
        ranked(campaign, ada)
    with pytest.raises(LimitReached) as refused:
        lease_next(campaign, rater=ada)
    assert refused.value.sentence == "You have ranked 2 tasks of Everyday: as many as one person may here."
    assert refused.value.status == 409


def test_her_own_limit_stands_above_the_campaigns_and_can_be_taken_away(campaign, ada, bea):
    change_rules(campaign, user=None, most_rankings=1)
    set_limit(campaign, rater=ada, most=2, user=None)
    for _ in range(2):
        ranked(campaign, ada)
    ranked(campaign, bea)
    for rater in (ada, bea):
        with pytest.raises(LimitReached):
            lease_next(campaign, rater=rater)
    set_limit(campaign, rater=ada, most=None, user=None)
    change_rules(campaign, user=None, most_rankings=None)
    assert lease_next(campaign, rater=ada) is not None


def test_what_she_ranked_late_is_kept_beyond_her_limit(campaign, ada):
    ranked(campaign, ada)
    late = lease_next(campaign, rater=ada)
    run_out(late)
    expire_leases()
    change_rules(campaign, user=None, most_rankings=1)
    with pytest.raises(LimitReached):
        lease_next(campaign, rater=ada)
    submit_ranking(late, rater=ada, submission=a_submission())
    assert Membership.objects.get(user=ada).num_ranked == 2


def test_the_desk_tells_no_more_tasks_than_her_limit_leaves(campaign, ada):
    change_rules(campaign, user=None, most_rankings=2)
    assert desks_of(ada)[0].num_waiting == 2
    ranked(campaign, ada)
    assert desks_of(ada)[0].num_waiting == 1
    ranked(campaign, ada)
    desk = desks_of(ada)[0]
    assert (desk.num_waiting, desk.is_at_limit, desk.num_mine) == (0, True, 2)


def test_the_desk_stops_counting_where_more_wait_than_anybody_would_read(ada, monkeypatch):
    monkeypatch.setattr("annotation.services.desk.MOST_COUNTED", 4)
    a_campaign(raters=[ada], num_prompts=6, overlap=3)
    desk = desks_of(ada)[0]
    assert (desk.num_waiting, desk.is_more) == (4, True)


# Skipping


def test_a_skipped_task_comes_back_when_nothing_else_waits_in_the_order_that_she_saw(ada):
    campaign = a_campaign(raters=[ada], num_prompts=3, overlap=1)
    change_rules(campaign, user=None, skip_mode=SkipMode.LATER)
    first = lease_next(campaign, rater=ada)
    skip(first, rater=ada)
    tasks = [ranked(campaign, ada).task_id for _ in range(2)]
    assert first.task_id not in tasks
    again = lease_next(campaign, rater=ada)
    assert (again.task_id, again.order) == (first.task_id, first.order)
    skip(again, rater=ada)
    assert ranked(campaign, ada).task_id == first.task_id
    assert lease_next(campaign, rater=ada) is None


def test_a_skipped_task_that_another_took_meanwhile_does_not_come_back(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    change_rules(campaign, user=None, skip_mode=SkipMode.LATER)
    skip(lease_next(campaign, rater=ada), rater=ada)
    assert desks_of(ada)[0].num_waiting == 1
    ranked(campaign, bea)
    assert lease_next(campaign, rater=ada) is None
    assert desks_of(ada)[0].num_waiting == 0


def test_a_skip_that_counts_as_done_gives_its_place_to_nobody(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    change_rules(campaign, user=None, skip_mode=SkipMode.DONE)
    skipped = lease_next(campaign, rater=ada)
    assert skip(skipped, rater=ada).state == AssignmentState.PASSED
    assert skip(skipped, rater=ada).state == AssignmentState.PASSED
    assert lease_next(campaign, rater=bea) is None
    progress = campaign_progress(campaign)
    assert (progress.slots_passed, progress.slots_free, progress.slots_done) == (1, 0, 0)


def test_a_skip_without_a_reason_is_refused_where_one_is_needed(campaign, ada):
    change_rules(campaign, user=None, skip_needs_reason=True)
    lease = lease_next(campaign, rater=ada)
    with pytest.raises(NeedsReason, match="Say why"):
        skip(lease, rater=ada, reason=" \x00 ")
    assert skip(lease, rater=ada, reason="Wrong language").skip_reason == "Wrong language"


# Languages and skills


def with_prompts(campaign, *rows):
    add_prompts(campaign, rows=rows, user=None)
    for prompt in campaign.prompts.filter(tasks=None):
        answers(prompt, "One.", "Two.", "Three.")
    make_tasks(campaign)


def asked(lease):
    return lease.task.prompt.messages[-1]["content"] if lease else None


def test_a_task_goes_only_to_those_who_have_its_language_and_its_skill(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=0)
    with_prompts(
        campaign,
        {"prompt": "Was ist das?", "language": "de-AT", "priority": 1},
        {"prompt": "Wer haftet?", "language": "de", "skill": "Law", "priority": 2},
        {"prompt": "What is this?", "priority": 3},
    )
    set_abilities(ada, languages=["DE"], skills=["law"], by=None)
    ada.refresh_from_db()
    assert [asked(ranked(campaign, ada)) for _ in range(3)] == ["Was ist das?", "Wer haftet?", "What is this?"]
    assert desks_of(bea)[0].num_waiting == 1
    assert asked(ranked(campaign, bea)) == "What is this?"
    assert lease_next(campaign, rater=bea) is None
    set_abilities(bea, languages=["de", "en"], by=None)
    bea.refresh_from_db()
    assert asked(ranked(campaign, bea)) == "Was ist das?"
    assert lease_next(campaign, rater=bea) is None


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"language": "German"}, "two or three letters"),
        ({"skill": "law & order"}, "A skill is a word"),
        ({"priority": "high"}, "whole number"),
        ({"priority": -1}, "whole number"),
        ({"language": 5}, "A language is a text"),
    ],
)
def test_a_prompt_whose_needs_cannot_be_read_is_refused(campaign, row, complaint):
    with pytest.raises(BadPrompt, match=complaint):
        add_prompts(campaign, rows=[{"prompt": "What?", **row}], user=None)


def test_abilities_are_written_alike_and_bad_ones_refused(ada):
    set_abilities(ada, languages=["en-GB", "de", "EN"], skills=["Python", "tax-law"], by=None)
    ada.refresh_from_db()
    assert (ada.languages, ada.skills) == (["de", "en"], ["python", "tax-law"])
    with pytest.raises(BadPerson, match="two or three letters"):
        set_abilities(ada, languages=["englisch"], by=None)


# Which tasks go first


def test_a_task_that_is_put_first_is_given_next_also_behind_where_a_rater_is(ada):
    campaign = a_campaign(raters=[ada], num_prompts=8, overlap=2)
    for _ in range(3):
        ranked(campaign, ada)
    left = RankingTask.objects.exclude(assignments__rater=ada).order_by("pk")
    last = left[2]
    assert set_priority(campaign, of=[str(last.pk)], priority=0, user=None) == 1
    assert lease_next(campaign, rater=ada).task_id == last.pk
    assert all(slot.order_key < 1 << 40 for slot in Slot.objects.filter(task=last))


def test_priorities_are_given_by_the_ids_that_a_file_gave_and_to_tasks_made_later(ada):
    campaign = a_campaign(raters=[ada], num_prompts=2)
    with_prompts(campaign, {"prompt": "Now!", "id": "urgent-1"})
    assert set_priority(campaign, of=["urgent-1 ", ""], priority=3, user=None) == 1
    prompt = campaign.prompts.get(external_id="urgent-1")
    answers(prompt, "Four.", "Five.", "Six.")
    make_tasks(campaign)
    assert set(prompt.tasks.values_list("priority", flat=True)) == {3}
    assert asked(lease_next(campaign, rater=ada)) == "Now!"


@pytest.mark.parametrize(("of", "priority"), [(["nowhere"], 1), ([], 1), (["x"], -1), (["x"], 1001)])
def test_priorities_that_make_no_sense_move_nothing(campaign, of, priority):
    with pytest.raises(BadCampaign):
        set_priority(campaign, of=of, priority=priority, user=None)


# Rules


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"most_rankings": 0}, "most_rankings"),
        ({"skip_mode": "never"}, "skip_mode"),
        ({"extra_below": 80}, "extra_most"),
        ({"extra_below": 101, "extra_most": 4}, "extra_below"),
        ({"extra_below": 80, "extra_most": 2}, "extra_most"),
        ({"extra_below": 80, "extra_most": 26}, "extra_most"),
    ],
)
def test_rules_that_make_no_sense_are_refused_beside_their_field(campaign, rules, field):
    with pytest.raises(BadCampaign) as refused:
        change_rules(campaign, user=None, **rules)
    assert refused.value.data["field"] == field


def test_extra_raters_need_two_a_task_to_begin_with():
    with pytest.raises(BadCampaign, match="two raters"):
        create_campaign("One each", k=2, overlap=1, guideline="", user=None, extra_below=80, extra_most=3)


# Where a rater is in the queue


def test_a_task_that_ran_out_on_her_is_found_in_a_place_that_she_has_passed(ada):
    """Its other place lies behind her bookmark, and was free all the while."""
    campaign = a_campaign(raters=[ada], num_prompts=5, overlap=2)
    for i, slot in enumerate(Slot.objects.order_by("task", "number")):
        Slot.objects.filter(pk=slot.pk).update(order_key=i)
    early = lease_next(campaign, rater=ada)
    Assignment.objects.filter(pk=early.pk).update(state=AssignmentState.SURPLUS)  # out of her hands, but seen
    ranked(campaign, ada)
    Assignment.objects.filter(pk=early.pk).update(state=AssignmentState.LIVE)
    Slot.objects.filter(pk=early.slot_id).update(is_free=False)
    run_out(early)
    expire_leases()
    Slot.objects.filter(pk=early.slot_id).update(is_free=False)  # another rater was faster
    assert lease_next(campaign, rater=ada).task_id == early.task_id


def test_next_asks_the_same_however_many_tasks_she_has_ranked(ada, django_assert_num_queries):
    campaign = a_campaign(raters=[ada], num_prompts=30, overlap=3)
    ranked(campaign, ada)
    for _ in range(2):
        with django_assert_num_queries(13):
            lease = lease_next(campaign, rater=ada)
        submit_ranking(lease, rater=ada, submission=a_submission())
        for _ in range(12):
            ranked(campaign, ada)
