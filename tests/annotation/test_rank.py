"""Submitting: once however often it is sent, kept when late, corrected without being overwritten."""

from __future__ import annotations

import uuid

import pytest

from accounts.errors import Conflict, NotFound
from annotation.models import Assignment, AssignmentState, Ranking
from annotation.services.assign import lease_next
from annotation.services.campaigns import revise_guideline
from annotation.services.judge import BadRanking, Submission
from annotation.services.leases import skip
from annotation.services.rank import AlreadyRanked, Superseded, UuidReused, correct_ranking, submit_ranking
from tests.annotation.arrange import a_campaign, a_person, a_submission, run_out

pytestmark = pytest.mark.django_db


def test_letters_become_the_completions_that_she_saw_under_them(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    ranking = submit_ranking(assignment, rater=ada, submission=a_submission("c>a=b", strengths=[2]))
    a, b, c = assignment.order
    assert ranking.tiers == [[c], sorted([a, b])]
    assert ranking.strengths == [2]
    assignment.refresh_from_db()
    assert assignment.state == AssignmentState.DONE


def test_the_same_submission_again_returns_the_stored_row(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    submission = a_submission("b>a=c")
    first = submit_ranking(assignment, rater=ada, submission=submission)
    same = Submission(
        client_uuid=submission.client_uuid, tiers=[["B"], ["c", "a"]]
    )  # the same order, written otherwise
    assert submit_ranking(assignment, rater=ada, submission=same) == first
    assert Ranking.objects.count() == 1


def test_a_uuid_with_another_judgement_is_refused(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    key = uuid.uuid4()
    submit_ranking(assignment, rater=ada, submission=a_submission("a>b>c", client_uuid=key))
    with pytest.raises(UuidReused):
        submit_ranking(assignment, rater=ada, submission=a_submission("c>b>a", client_uuid=key))
    other = lease_next(campaign, rater=ada)
    with pytest.raises(UuidReused):
        submit_ranking(other, rater=ada, submission=a_submission("a>b>c", client_uuid=key))
    other.refresh_from_db()
    assert other.state == AssignmentState.LIVE


def test_a_second_tab_with_the_same_order_changes_nothing_and_with_another_is_told(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    first = submit_ranking(assignment, rater=ada, submission=a_submission("a>b>c"))
    assert submit_ranking(assignment, rater=ada, submission=a_submission("a>b>c")) == first
    with pytest.raises(AlreadyRanked):
        submit_ranking(assignment, rater=ada, submission=a_submission("c>b>a"))


def test_late_where_a_slot_is_free_it_counts(ada):
    campaign = a_campaign(raters=[ada], num_prompts=1, overlap=1)
    assignment = lease_next(campaign, rater=ada)
    run_out(assignment)
    lease_next(campaign, rater=ada)  # finds the old lease run out, and makes a new one
    submit_ranking(assignment, rater=ada, submission=a_submission())
    states = dict(Assignment.objects.values_list("pk", "state"))
    assert states.pop(assignment.pk) == AssignmentState.DONE
    assert list(states.values()) == [AssignmentState.EXPIRED]


def test_late_where_the_slot_was_given_away_it_is_kept_as_surplus(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    mine = lease_next(campaign, rater=ada)
    run_out(mine)
    hers = lease_next(campaign, rater=bea)
    kept = submit_ranking(mine, rater=ada, submission=a_submission("b>a>c"))
    submit_ranking(hers, rater=bea, submission=a_submission())
    mine.refresh_from_db()
    assert mine.state == AssignmentState.SURPLUS
    assert kept.is_live
    assert Ranking.objects.count() == 2
    assert lease_next(campaign, rater=ada) is None  # she has ranked it


def test_of_two_leases_that_ran_out_on_one_rater_only_one_is_ranked(ada, bea):
    campaign = a_campaign(raters=[ada, bea], num_prompts=1, overlap=1)
    leases = []
    for _ in range(2):
        leases.append(lease_next(campaign, rater=ada))
        run_out(leases[-1])
    lease_next(campaign, rater=bea)
    submit_ranking(leases[0], rater=ada, submission=a_submission("a>b>c"))
    with pytest.raises(AlreadyRanked):
        submit_ranking(leases[1], rater=ada, submission=a_submission("c>b>a"))


def test_what_was_skipped_cannot_be_submitted(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    skip(assignment, rater=ada)
    with pytest.raises(Conflict) as told:
        submit_ranking(assignment, rater=ada, submission=a_submission())
    assert told.value.code == "skipped"


@pytest.mark.parametrize(
    ("tiers", "fields", "complaint"),
    [
        ("a>b", {}, "Not ranked yet: C"),
        ("a>b>c>d", {}, "There is no text D"),
        ("a>a>b>c", {}, "A stands twice"),
        ("a>b>c", {"strengths": [1]}, "2 gaps"),
        ("a>b>c", {"strengths": [1, 5]}, "1 to 4"),
        ("a>b>c", {"flags": {"z": ["unsafe"]}}, "no text z"),
        ("a>b>c", {"flags": {"a": ["boring"]}}, "no flag called boring"),
        ("a>b>c", {"reason": "x" * 5000}, "at most 4000"),
        ("a>b>c", {"reason": "a\x00b"}, "a NUL character"),
    ],
)
def test_a_judgement_that_does_not_fit_is_refused_in_one_sentence(campaign, ada, tiers, fields, complaint):
    assignment = lease_next(campaign, rater=ada)
    with pytest.raises(BadRanking, match=complaint):
        submit_ranking(assignment, rater=ada, submission=a_submission(tiers, **fields))
    assert not Ranking.objects.exists()


def test_all_bad_without_an_order_ties_all(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    ranking = submit_ranking(assignment, rater=ada, submission=Submission(uuid.uuid4(), tiers=[], all_bad=True))
    assert ranking.tiers == [sorted(assignment.order)]


def test_nobody_submits_for_another(campaign, ada, bea):
    with pytest.raises(NotFound):
        submit_ranking(lease_next(campaign, rater=ada), rater=bea, submission=a_submission())


def test_seconds_are_no_more_than_the_lease_is_old(campaign, ada):
    ranking = submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission(seconds=9999))
    assert ranking.seconds < 60


def test_a_correction_supersedes_and_the_first_row_stays(campaign, ada):
    first = submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission("a>b>c"))
    correction = a_submission("c>b>a")
    second = correct_ranking(first, rater=ada, submission=correction)
    assert correct_ranking(first, rater=ada, submission=correction) == second
    first.refresh_from_db()
    assert (first.is_live, second.is_live, second.supersedes) == (False, True, first)
    with pytest.raises(Superseded):
        correct_ranking(first, rater=ada, submission=a_submission("b>a>c"))


def test_nobody_corrects_another(campaign, ada, bea):
    first = submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    with pytest.raises(NotFound):
        correct_ranking(first, rater=bea, submission=a_submission("c>b>a"))


def test_a_ranking_names_the_guideline_that_was_shown(campaign, ada):
    assignment = lease_next(campaign, rater=ada)
    revise_guideline(campaign, text="Be fairer.", user=None)
    assert submit_ranking(assignment, rater=ada, submission=a_submission()).guideline.number == 1
    assert lease_next(campaign, rater=ada).guideline.number == 2


def test_what_simulated_raters_do_is_marked(ada):
    sim = a_person("sim", is_simulated=True)
    campaign = a_campaign(raters=[ada, sim], num_prompts=1)
    marks = [
        submit_ranking(lease_next(campaign, rater=rater), rater=rater, submission=a_submission()).is_simulated
        for rater in (ada, sim)
    ]
    assert marks == [False, True]
