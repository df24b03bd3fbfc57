"""Whatever raters, clocks and admins do in whatever order: no task is over-assigned, nothing acknowledged is lost or doubled."""

from __future__ import annotations

import random
import uuid
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.errors import UserError
from accounts.models import User
from accounts.services import set_abilities
from annotation.models import (
    HOLDS_SLOT,
    SEEN,
    Appeal,
    Assignment,
    AssignmentState,
    Campaign,
    CampaignState,
    GoldAnswer,
    Membership,
    Ranking,
    RankingTask,
    SkipMode,
    Slot,
    Standing,
    StandingChange,
    TaskKind,
)
from annotation.services import assign, stream
from annotation.services.ahead import give_back, lease_ahead
from annotation.services.assign import lease_next
from annotation.services.campaigns import add_raters, remove_rater, set_state
from annotation.services.completions import SHUFFLE_BITS, make_tasks
from annotation.services.gold import retire_gold
from annotation.services.leases import expire_leases, renew, skip
from annotation.services.prompts import add_prompts
from annotation.services.queues import next_slot
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.rules import change_rules, set_limit, set_priority
from annotation.services.standing import appeal, decide, lift, pause
from tests.annotation.arrange import a_campaign, a_person, a_submission, answers, run_out
from tests.annotation.checks import a_plan, gold_of

ORDERS = st.sampled_from(["a>b>c", "c>b>a", "b>a=c", "a=b=c"])
RATERS = st.integers(0, 3)


class Bytes:
    """In the place of `os` for `uuid.uuid4`."""

    def __init__(self, seed: int) -> None:
        self.urandom = random.Random(seed).randbytes


class Deeds(RuleBasedStateMachine):
    """What each deed must answer is kept beside the database: `acknowledged` holds every ranking that was taken."""

    @initialize(
        num_prompts=st.integers(1, 2),
        overlap=st.integers(1, 3),
        skip_mode=st.sampled_from(SkipMode.values),
        extra=st.integers(0, 2),
        seed=st.integers(0, 999),
    )
    def begin(self, num_prompts: int, overlap: int, skip_mode: str, extra: int, seed: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(uuid, "os", Bytes(seed))  # orders hang on keys: a run must come out twice alike
        lot = random.Random(num_prompts * 10 + overlap)
        for module in (assign, stream):
            self.patch.setattr(module, "lot", lot)
        self.patch.setattr(stream, "BLOCK", 2)  # so that short lives meet repeats
        self.outer = transaction.atomic()
        self.outer.__enter__()
        self.raters = [a_person(f"rater-{i}") for i in range(4)]
        self.campaign = a_campaign(raters=self.raters, num_prompts=num_prompts, overlap=overlap)
        change_rules(self.campaign, user=None, skip_mode=skip_mode)
        self.most = overlap
        if extra and overlap > 1:
            self.most = overlap + extra
            change_rules(self.campaign, user=None, extra_below=90, extra_most=self.most)
        pin_lots()
        gold_of(self.campaign, num_prompts)
        gold_of(self.campaign, num_prompts, kind=TaskKind.TEST)
        a_plan(self.campaign, gold_share=0.2, repeat_share=0.3, repeat_after=1, floor=0.95, false_alarm=0.2)
        self.grace = a_person("grace", role="admin")
        self.acknowledged: dict[uuid.UUID, tuple[Any, Any]] = {}  # client uuid -> (row, body)
        self.submissions: list[tuple[Assignment, User, Any]] = []
        self.refused = 0

    def teardown(self) -> None:
        if hasattr(self, "outer"):
            self.patch.undo()
            transaction.set_rollback(True)
            self.outer.__exit__(None, None, None)

    def attempt(self, deed: Any) -> Any:
        """None where it was refused, as a person would be told; anything else that goes wrong is a failure."""
        try:
            with transaction.atomic():
                return deed()
        except UserError as error:
            assert error.code
            self.refused += 1
            return None

    # Raters

    @rule(who=st.lists(RATERS, min_size=1, max_size=4))
    def ask(self, who: list[int]) -> None:
        for rater in [self.raters[i] for i in who]:
            lease = self.attempt(lambda rater=rater: lease_next(self.campaign, rater=rater))
            if lease is not None:
                assert lease.state == AssignmentState.LIVE
                assert lease.rater_id == rater.pk
                assert lease.slot.reserved_for_id in (None, rater.pk)
                assert Membership.objects.get(user=rater).standing == Standing.TRUSTED
            elif self.may_rank(rater):
                assert not waits_for(rater, campaign=self.campaign).exists()

    def may_rank(self, rater: User) -> bool:
        self.campaign.refresh_from_db()
        member = Membership.objects.get(campaign=self.campaign, user=rater)
        return (
            member.is_active
            and member.standing == Standing.TRUSTED
            and self.campaign.state == CampaignState.OPEN
            and member.num_left != 0
        )

    @rule(data=st.data(), is_kept=st.sampled_from([True, True, False]))
    @precondition(lambda self: Assignment.objects.exists())
    def fetch_ahead(self, data: st.DataObject, is_kept: bool) -> None:
        """After any assignment there ever was; given back at once, or kept."""
        after = data.draw(st.sampled_from(list(Assignment.objects.order_by("leased_at"))))
        lease = self.attempt(lambda: lease_ahead(after, rater=after.rater))
        if lease is None:
            return
        assert lease.state == AssignmentState.LIVE
        assert lease.pk != after.pk
        if not is_kept:
            self.attempt(lambda: give_back(lease, rater=lease.rater))

    @rule(data=st.data(), order=ORDERS)
    @precondition(lambda self: Assignment.objects.exists())
    def submit(self, data: st.DataObject, order: str) -> None:
        """Of any assignment there ever was: hers or not, in time or late, ranked before or skipped."""
        assignment = data.draw(st.sampled_from(list(Assignment.objects.order_by("leased_at"))))
        is_hers = data.draw(st.sampled_from([True, True, True, False]))
        rater = assignment.rater if is_hers else self.raters[data.draw(RATERS)]
        self.send(assignment, rater, a_submission(order))

    def send(self, assignment: Assignment, rater: User, submission: Any) -> None:
        made = self.attempt(lambda: submit_ranking(assignment, rater=rater, submission=submission))
        if made is None:
            return
        assert assignment.rater_id == rater.pk
        self.submissions.append((assignment, rater, submission))
        self.acknowledged[made.client_uuid] = (made.pk, made.body)

    @rule(who=RATERS, orders=st.lists(ORDERS, min_size=2, max_size=5))
    def work_for_a_while(self, who: int, orders: list[str]) -> None:
        """Long enough to come to checks, and to be paused by them."""
        rater = self.raters[who]
        for order in orders:
            lease = self.attempt(lambda: lease_next(self.campaign, rater=rater))
            if lease is not None:
                self.send(lease, rater, a_submission(order))

    @rule(data=st.data())
    @precondition(lambda self: self.submissions)
    def send_again(self, data: st.DataObject) -> None:
        before = dict(self.acknowledged)
        assignment, rater, submission = data.draw(st.sampled_from(self.submissions))
        again = self.attempt(lambda: submit_ranking(assignment, rater=rater, submission=submission))
        assert again is None or before[again.client_uuid] == (again.pk, again.body)

    @rule(data=st.data(), order=ORDERS)
    @precondition(lambda self: self.acknowledged)
    def correct(self, data: st.DataObject, order: str) -> None:
        pk, _ = self.acknowledged[data.draw(st.sampled_from(list(self.acknowledged)))]
        ranking = Ranking.objects.get(pk=pk)
        made = self.attempt(lambda: correct_ranking(ranking, rater=ranking.rater, submission=a_submission(order)))
        if made is not None:
            assert made.supersedes_id == pk
            self.acknowledged[made.client_uuid] = (made.pk, made.body)

    @rule(data=st.data())
    @precondition(lambda self: Assignment.objects.exists())
    def skip_or_renew(self, data: st.DataObject) -> None:
        some = Assignment.objects.filter(state=AssignmentState.LIVE) or Assignment.objects.all()
        assignment = data.draw(st.sampled_from(list(some.order_by("leased_at"))))
        deed = data.draw(st.sampled_from([skip, renew]))
        self.attempt(lambda: deed(assignment, rater=self.raters[data.draw(RATERS)]))

    # Clocks and admins

    @rule(data=st.data(), is_swept=st.sampled_from([True, True, False]))
    @precondition(lambda self: Assignment.objects.filter(state=AssignmentState.LIVE).exists())
    def lunch(self, data: st.DataObject, is_swept: bool) -> None:
        live = Assignment.objects.filter(state=AssignmentState.LIVE).order_by("leased_at")
        run_out(data.draw(st.sampled_from(list(live))))
        if is_swept:
            assert expire_leases() >= 1

    @rule(data=st.data(), who=st.lists(RATERS, max_size=3), order=ORDERS)
    @precondition(lambda self: Assignment.objects.filter(state=AssignmentState.LIVE).exists())
    def come_late(self, data: st.DataObject, who: list[int], order: str) -> None:
        """Her task may have been given to others, or to herself anew, before she submits."""
        late = data.draw(
            st.sampled_from(list(Assignment.objects.filter(state=AssignmentState.LIVE).order_by("leased_at")))
        )
        run_out(late)
        expire_leases()
        self.ask(who=who)
        self.send(late, late.rater, a_submission(order))

    @rule(to=st.sampled_from([CampaignState.OPEN, CampaignState.OPEN, CampaignState.PAUSED]))
    def pause_or_open(self, to: str) -> None:
        self.attempt(lambda: set_state(self.campaign, to=to, user=None))

    @rule(data=st.data(), priority=st.sampled_from([0, 50, 100]))
    def put_first_or_last(self, data: st.DataObject, priority: int) -> None:
        task = data.draw(st.sampled_from(list(RankingTask.objects.order_by("prompt__created_at"))))
        assert set_priority(self.campaign, of=[str(task.pk)], priority=priority, user=None) == 1
        pin_lots()

    @rule(language=st.sampled_from(["", "", "de"]))
    @precondition(lambda self: self.campaign.tasks.count() < 6)
    def bring_another_prompt(self, language: str) -> None:
        row = {"prompt": f"Question {self.campaign.tasks.count()}?", "language": language}
        add_prompts(self.campaign, rows=[row], user=None)
        answers(self.campaign.prompts.get(tasks=None), "One.", "Two.", "Three.")
        assert make_tasks(self.campaign) == 1
        pin_lots()

    @rule(who=RATERS, languages=st.sampled_from([[], ["de"]]))
    def learn_or_forget(self, who: int, languages: list[str]) -> None:
        set_abilities(self.raters[who], languages=languages, by=None)
        self.raters[who].refresh_from_db()

    @rule(who=RATERS, most=st.sampled_from([None, None, 1, 3]))
    def limit(self, who: int, most: int | None) -> None:
        set_limit(self.campaign, rater=self.raters[who], most=most, user=None)

    @rule(who=RATERS, is_back=st.sampled_from([True, True, False]))
    def come_or_go(self, who: int, is_back: bool) -> None:
        if is_back:
            self.attempt(lambda: add_raters(self.campaign, raters=[self.raters[who]], user=None))
        else:
            self.attempt(lambda: remove_rater(self.campaign, rater=self.raters[who], user=None))

    @rule(who=RATERS, deed=st.sampled_from(["pause", "lift", "appeal", "grant", "uphold"]))
    def judge_a_rater(self, who: int, deed: str) -> None:
        rater, campaign = self.raters[who], self.campaign
        open_one = Appeal.objects.filter(pause__membership__user=rater).order_by("-created_at").first()
        deeds = {
            "pause": lambda: pause(campaign, rater=rater, reason="Wait.", user=self.grace),
            "lift": lambda: lift(campaign, rater=rater, user=self.grace),
            "appeal": lambda: appeal(campaign, rater=rater, words="Why?"),
            "grant": lambda: open_one and decide(open_one, lifts=True, answer="", user=self.grace),
            "uphold": lambda: open_one and decide(open_one, lifts=False, answer="So.", user=self.grace),
        }
        self.attempt(deeds[deed])

    @rule(data=st.data())
    @precondition(lambda self: GoldAnswer.objects.filter(retired_at=None).exists())
    def retire(self, data: st.DataObject) -> None:
        active = GoldAnswer.objects.filter(retired_at=None).order_by("pk")
        retire_gold(data.draw(st.sampled_from(list(active))), user=self.grace)

    # What must hold

    @invariant()
    def who_is_paused_holds_nothing_and_can_read_why(self) -> None:
        for member in Membership.objects.exclude(standing=Standing.TRUSTED):
            assert member.standing == Standing.PAUSED
            assert StandingChange.objects.filter(membership=member).first().reason
            assert not Assignment.objects.filter(rater=member.user, state=AssignmentState.LIVE).exists()

    @invariant()
    def standings_follow_from_their_changes(self) -> None:
        for member in Membership.objects.all():
            changes = list(StandingChange.objects.filter(membership=member).order_by("pk"))
            states = [Standing.TRUSTED, *(change.after for change in changes)]
            assert [change.before for change in changes] == states[:-1]
            assert member.standing == states[-1]

    @invariant()
    def checks_are_held_by_those_they_were_laid_out_for(self) -> None:
        for row in Assignment.objects.exclude(task__kind=TaskKind.WORK).select_related("slot", "task"):
            assert row.slot.reserved_for_id == row.rater_id
        assert not Slot.objects.filter(task__kind=TaskKind.WORK).exclude(reserved_for=None).exists()

    @invariant()
    def a_repeat_is_of_her_own_work_in_another_order(self) -> None:
        for again in Assignment.objects.filter(task__kind=TaskKind.REPEAT).select_related("task"):
            for first in Assignment.objects.filter(task=again.task.repeats_id, rater=again.rater_id):
                assert again.order != first.order

    @invariant()
    def no_task_is_held_by_more_than_are_wanted(self) -> None:
        held = Count("assignments", filter=Q(assignments__state__in=HOLDS_SLOT), distinct=True)
        work = RankingTask.objects.filter(kind=TaskKind.WORK).order_by()
        for count in work.annotate(held=held).values_list("held", flat=True):
            assert count <= self.most

    @invariant()
    def a_slot_is_free_where_nobody_holds_it(self) -> None:
        holders = Count("assignments", filter=Q(assignments__state__in=HOLDS_SLOT))
        for is_free, count in Slot.objects.order_by().annotate(holders=holders).values_list("is_free", "holders"):
            assert count == (0 if is_free else 1)

    @invariant()
    def a_rater_has_two_tasks_in_hand_at_most_and_one_live_ranking_of_a_task(self) -> None:
        live = Assignment.objects.order_by().filter(state=AssignmentState.LIVE).values("rater")
        assert all(row["n"] <= 2 for row in live.annotate(n=Count("pk")))
        ranked = Ranking.objects.order_by().filter(is_live=True).values("rater", "task")
        assert all(row["n"] == 1 for row in ranked.annotate(n=Count("pk")))

    @invariant()
    def the_next_task_is_what_a_search_of_all_slots_would_find(self) -> None:
        """For each rater, asked and taken back: the first in order ahead, or one that came back behind her bookmark."""
        for rater in self.raters:
            waiting = waits_for(rater, campaign=self.campaign, with_skipped=False)
            with transaction.atomic():
                found = next_slot(self.campaign, rater=rater)
                transaction.set_rollback(True)
            assert (found is None) == (not waiting.exists())
            if found is not None:
                first = waiting.order_by("order_key", "pk").first()
                assert found.turn > 0 or found.pk == first.pk

    @invariant()
    def what_is_counted_is_there(self) -> None:
        for member in Membership.objects.filter(campaign=self.campaign):
            ranked = Ranking.objects.filter(rater=member.user, task__campaign=self.campaign, is_live=True)
            assert member.num_ranked == ranked.count()
        last = Slot.objects.filter(reserved_for=None).aggregate(last=Max("number"))["last"]
        assert last < self.most

    @invariant()
    def every_acknowledged_ranking_is_there_once_and_nothing_else(self) -> None:
        stored = {row.client_uuid: (row.pk, row.body) for row in Ranking.objects.all()}
        assert stored == self.acknowledged
        superseded = set(Ranking.objects.exclude(supersedes=None).values_list("supersedes", flat=True))
        assert {row.pk for row in Ranking.objects.filter(is_live=False)} == superseded


def waits_for(rater: User, *, campaign: Campaign, with_skipped: bool = True) -> QuerySet[Slot]:
    """By looking at everything: free slots that she may take."""
    rater.refresh_from_db()
    away = [AssignmentState.SKIPPED] if with_skipped and campaign.skip_mode == SkipMode.LATER else []
    seen = Assignment.objects.filter(rater=rater, state__in=set(SEEN) - set(away)).values("task")
    free = Slot.objects.filter(campaign=campaign, is_free=True, reserved_for=None).exclude(task__in=seen)
    return free.filter(queue__language__in=["", *rater.languages], queue__skill__in=["", *rater.skills])


def pin_lots() -> None:
    """The shuffle within a priority, else by lot: a run must come out twice alike."""
    for i, slot in enumerate(
        Slot.objects.filter(reserved_for=None).select_related("task").order_by("task__prompt__created_at", "number")
    ):
        Slot.objects.filter(pk=slot.pk).update(order_key=(slot.task.priority << SHUFFLE_BITS) + i)


@pytest.mark.slow(seconds=30)
@pytest.mark.django_db
def test_whatever_is_done_in_whatever_order():
    run_state_machine_as_test(
        Deeds,
        settings=settings(
            max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
