"""Pausing: by the checks or by hand, in words, without more work; appeals, and going on."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.errors import NotAllowed
from accounts.models import Role
from annotation.models import (
    Appeal,
    AppealState,
    Assignment,
    Membership,
    QualityPlan,
    Ranking,
    Slot,
    Standing,
    StandingChange,
)
from annotation.services.assign import lease_next
from annotation.services.desk import desks_of
from annotation.services.evidence import evidence_of
from annotation.services.judge import Submission
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.standing import (
    BadWords,
    NoAppeal,
    NoSuchStanding,
    Paused,
    appeal,
    decide,
    lift,
    pause,
)
from annotation.services.tariffs import costs_of, set_tariff
from audit.models import AuditEvent
from tests.accounts.people import client_of
from tests.annotation.arrange import a_campaign, a_person, a_submission
from tests.annotation.checks import a_plan, gold_of, in_order, rank_next, reversed_order, standing_of


@pytest.fixture
def rex(db):
    return a_person("rex", role=Role.REVIEWER)


@pytest.fixture
def checked(ada, bea):
    """Half of what comes is gold."""
    campaign = a_campaign(raters=[ada, bea], num_prompts=60, overlap=2)
    gold_of(campaign, 50)
    a_plan(campaign, gold_share=0.5, false_alarm=0.01)
    return campaign


def until_paused(campaign, rater, **how) -> int:
    """How many tasks she ranked."""
    for number in range(1, 61):
        rank_next(campaign, rater, **how)
        if standing_of(campaign, rater) == Standing.PAUSED:
            return number
    raise AssertionError("she never was")


def test_who_orders_gold_the_wrong_way_round_is_paused_by_the_ranking_that_decides_it(checked, ada):
    num = until_paused(checked, ada, rule=reversed_order)
    assert Ranking.objects.filter(rater=ada, is_live=True).count() == num  # she keeps them all
    last = StandingChange.objects.get()
    assert (last.before, last.after, last.cause, last.by) == ("trusted", "paused", "checks", None)
    assert "0 % of the pairs came as expected" in last.reason
    with pytest.raises(Paused) as refused:
        lease_next(checked, rater=ada)
    assert refused.value.code == "paused"
    assert refused.value.status == 403
    assert AuditEvent.objects.filter(action="rater.paused", data__rater="ada").count() == 1
    assert desks_of(ada)[0].num_waiting == 0


def test_who_orders_them_right_never_is(checked, bea):
    while rank_next(checked, bea):
        pass
    assert standing_of(checked, bea) == Standing.TRUSTED
    evidence = evidence_of(Membership.objects.get(user=bea), plan=QualityPlan.objects.get())
    assert evidence.gold.value == 1.0
    assert evidence.test.num > 10


def test_saying_that_nothing_can_be_ranked_is_no_way_around(checked, ada):
    a_plan(checked, gold_share=0.5, floor=0.8)
    for _ in range(60):
        try:
            assignment = lease_next(checked, rater=ada)
        except Paused:
            break
        submit_ranking(assignment, rater=ada, submission=no_order())
    assert standing_of(checked, ada) == Standing.PAUSED


def no_order():
    return Submission(client_uuid=uuid.uuid4(), cannot_rank="unclear")


def test_a_correction_does_not_undo_a_first_answer(checked, ada):
    while True:
        made = rank_next(checked, ada, rule=reversed_order)
        if made.task.kind == "gold":
            break
    plan, member = QualityPlan.objects.get(), Membership.objects.get(user=ada)
    before = evidence_of(member, plan=plan).test
    letters = {name: letter for letter, name in made.assignment.letters().items()}
    right = ">".join("=".join(letters[name] for name in tier) for tier in made.task.gold.tiers)
    correct_ranking(made, rater=ada, submission=a_submission(right))
    assert evidence_of(member, plan=plan).test == before


def test_one_who_clicks_through_faster_than_anybody_reads_is_paused(ada):
    campaign = a_campaign(raters=[ada], num_prompts=20, overlap=1)
    a_plan(campaign)
    assert until_paused(campaign, ada, seconds=0.001) == 5
    assert "less time than anybody needs" in StandingChange.objects.get().reason


def test_one_who_keeps_the_order_of_the_page_is_paused(ada):
    campaign = a_campaign(raters=[ada], num_prompts=40, overlap=1)
    a_plan(campaign)
    assert until_paused(campaign, ada, rule=lambda texts: [[letter] for letter in sorted(texts)]) == 20
    assert "stand as they were shown" in StandingChange.objects.get().reason


def test_without_a_plan_nobody_is_paused(ada):
    campaign = a_campaign(raters=[ada], num_prompts=12, overlap=1)
    while rank_next(campaign, ada, seconds=0.001, rule=lambda texts: [[letter] for letter in sorted(texts)]):
        pass
    assert standing_of(campaign, ada) == Standing.TRUSTED


def test_an_admin_pauses_with_a_reason_and_her_task_goes_to_others(campaign, ada):
    held = lease_next(campaign, rater=ada)
    with pytest.raises(BadWords):
        pause(campaign, rater=ada, reason="  ", user=None)
    pause(campaign, rater=ada, reason="She asked for a break.", user=None)
    held.refresh_from_db()
    assert held.state == "expired"
    assert Slot.objects.get(pk=held.slot_id).is_free
    made = submit_ranking(held, rater=ada, submission=a_submission())  # what was on her desk is still taken
    assert Assignment.objects.get(pk=held.pk).state == "done"
    assert made.is_live
    with pytest.raises(NoSuchStanding):
        pause(campaign, rater=ada, reason="Once more.", user=None)


def test_a_lift_begins_her_test_anew(checked, ada):
    until_paused(checked, ada, rule=reversed_order)
    lift(checked, rater=ada, user=None)
    assert standing_of(checked, ada) == Standing.TRUSTED
    member = Membership.objects.get(user=ada)
    evidence = evidence_of(member, plan=QualityPlan.objects.get())
    assert (evidence.test.num, evidence.gold.value) == (0, 0.0)
    for _ in range(10):
        rank_next(checked, ada, rule=in_order)
    assert standing_of(checked, ada) == Standing.TRUSTED
    with pytest.raises(NoSuchStanding, match="not paused"):
        lift(checked, rater=ada, user=None)


def test_an_appeal_is_made_once_and_decided_once(campaign, ada, rex):
    with pytest.raises(NoAppeal, match="not paused"):
        appeal(campaign, rater=ada, words="Why?")
    pause(campaign, rater=ada, reason="Too fast.", user=None)
    with pytest.raises(BadWords):
        appeal(campaign, rater=ada, words=" ")
    made = appeal(campaign, rater=ada, words="I know these texts.")
    with pytest.raises(NoAppeal, match="already"):
        appeal(campaign, rater=ada, words="Please.")
    with pytest.raises(BadWords):
        decide(made, lifts=False, answer="", user=rex)
    assert decide(made, lifts=False, answer="They were new.", user=rex).state == AppealState.UPHELD
    with pytest.raises(NoAppeal):
        decide(made, lifts=True, answer="", user=rex)
    assert standing_of(campaign, ada) == Standing.PAUSED
    actions = list(
        AuditEvent.objects.filter(action__startswith="appeal").order_by("pk").values_list("action", flat=True)
    )
    assert actions == ["appeal.made", "appeal.upheld"]


def test_an_appeal_that_is_granted_lets_her_go_on(campaign, ada, rex):
    pause(campaign, rater=ada, reason="Too fast.", user=None)
    made = decide(appeal(campaign, rater=ada, words="I know these."), lifts=True, answer="Right.", user=rex)
    assert (made.state, made.decided_by) == (AppealState.LIFTED, rex)
    assert standing_of(campaign, ada) == Standing.TRUSTED
    assert lease_next(campaign, rater=ada)
    assert StandingChange.objects.first().cause == "appeal"


def test_a_lift_by_hand_grants_the_appeal_that_was_open(campaign, ada):
    pause(campaign, rater=ada, reason="Too fast.", user=None)
    made = appeal(campaign, rater=ada, words="I know these.")
    lift(campaign, rater=ada, user=None)
    made.refresh_from_db()
    assert made.state == AppealState.LIFTED


def test_nobody_decides_her_own_appeal(campaign, rex):
    campaign.raters.add(rex)
    pause(campaign, rater=rex, reason="Too fast.", user=None)
    made = appeal(campaign, rater=rex, words="I am a reviewer.")
    with pytest.raises(NotAllowed):
        decide(made, lifts=True, answer="", user=rex)


# Pages


def test_a_paused_rater_reads_why_and_appeals_on_my_work(campaign, ada, bea, rex):
    pause(campaign, rater=ada, reason="Please take a look at the guideline.", user=None)
    browser = client_of(ada)
    assert "You are paused in this campaign" in text(browser.get(reverse("rank", args=[campaign.slug])))
    answer = browser.post(reverse("api_next", args=[campaign.slug]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "paused")
    assert "You are paused in Everyday." in text(browser.get("/"))
    page = text(browser.get(reverse("my_work")))
    assert "Please take a look at the guideline." in page
    browser.post(reverse("appeal", args=[campaign.slug]), {"words": "I did <b>look</b>."})
    assert "I did &lt;b&gt;look&lt;/b&gt;." in text(browser.get(reverse("my_work")))
    assert client_of(bea).post(reverse("appeal", args=[campaign.slug]), {"words": "x"}).status_code == 409

    reviewer = client_of(rex)
    assert "1 appeal waits for a reviewer" in text(reviewer.get("/"))
    assert "I did &lt;b&gt;look&lt;/b&gt;." in text(reviewer.get(reverse("review")))
    made = Appeal.objects.get()
    reviewer.post(reverse("review_appeal", args=[made.pk]), {"to": "upheld", "answer": "Read section 2 again."})
    assert "Read section 2 again." in text(browser.get(reverse("my_work")))
    assert "appeal waits" not in text(reviewer.get("/"))


def text(answer) -> str:
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_admin_pauses_and_lifts_on_the_quality_page(campaign, ada):
    admin = client_of(a_person("grace", role=Role.ADMIN))
    where = reverse("quality_standing", args=[campaign.slug, "ada"])
    admin.post(where, {"to": "paused", "reason": "A break."})
    assert standing_of(campaign, ada) == Standing.PAUSED
    page = text(admin.get(reverse("campaign_quality", args=[campaign.slug])))
    assert "A break. (grace)" in page
    admin.post(where, {"to": "lifted"})
    assert standing_of(campaign, ada) == Standing.TRUSTED


def test_what_a_pause_takes_from_her_desk_comes_to_those_who_have_passed_it(ada, bea):
    """Bea's bookmark lies behind the task that Ada holds: it must be found there all the same."""
    campaign = a_campaign(raters=[ada, bea], num_prompts=2, overlap=1)
    held = lease_next(campaign, rater=ada)
    assert rank_next(campaign, bea) is not None
    assert lease_next(campaign, rater=bea) is None
    pause(campaign, rater=ada, reason="Wait.", user=None)
    assert lease_next(campaign, rater=bea).task_id == held.task_id


def test_a_pause_gives_back_what_was_put_aside_for_her_tasks(ada):
    campaign = a_campaign(raters=[ada], num_prompts=2)
    set_tariff(campaign, per="ranking", price=Decimal(1), currency="EUR", budget=Decimal(5), user=None)
    lease_next(campaign, rater=ada)
    assert costs_of(campaign).reserved == 1
    pause(campaign, rater=ada, reason="Wait.", user=None)
    assert (costs_of(campaign).reserved, costs_of(campaign).left) == (0, 5)
