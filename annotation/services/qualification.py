"""The test before a campaign: laid out, judged after its last task, told with an explanation of each, and taken again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext, ngettext

from accounts.errors import Conflict
from accounts.models import User
from annotation.models import (
    SEEN,
    Assignment,
    AssignmentState,
    Campaign,
    Cause,
    GoldAnswer,
    Membership,
    QualityPlan,
    Ranking,
    Slot,
    Standing,
    StandingChange,
    TaskKind,
    plan_of,
)
from annotation.quality.gold import credit_over_answers
from annotation.quality.judgement import Measure, in_percent
from annotation.quality.sentences import TEST_FAILED, TEST_GONE, TEST_PASSED, TEST_TOO_FEW, TEST_UNDEFINED
from annotation.quality.sequential import CHANCE
from annotation.services.standing import change, locked
from annotation.services.stream import fresh, laid_out, lay_out_test, tests_of


class TooFewTests(Conflict):
    code = "too_few_tests"


@dataclass(frozen=True, slots=True)
class TestProgress:
    num: int
    num_done: int

    @property
    def number(self) -> int:
        """Of the task in hand, the first being 1."""
        return min(self.num_done + 1, self.num)


@dataclass(frozen=True, slots=True)
class Answered:
    """One test task of hers, for the page that explains it; no ranking where she skipped it."""

    gold: GoldAnswer
    ranking: Ranking | None
    assignment: Assignment


def attempt_of(member: Membership) -> int:
    return member.changes.filter(before=Standing.FAILED, after=Standing.TESTED).count()


def next_test(member: Membership) -> Slot | None:
    """Of one who is tested; None where she is through. Then she has been judged. `member` is locked.

    Raises `TooFewTests` where the campaign has no test for her.
    """
    plan = plan_of(member.campaign)
    num = plan.num_tests if plan else 0
    attempt = attempt_of(member)
    if plan is None or num == 0:  # the campaign has given its test up meanwhile
        change(member, to=Standing.TRUSTED, cause=Cause.TEST, reason=TEST_GONE, by=None)
        return None
    if lay_out_test(member, num=num, attempt=attempt) == 0:
        raise TooFewTests(
            gettext("%(campaign)s begins with a test, and it has no task for you yet.")
            % {"campaign": member.campaign.name}
        )
    seen = Assignment.objects.filter(rater=member.user_id, state__in=SEEN).values("task")
    found = tests_of(member, attempt=attempt).filter(is_free=True).exclude(task__in=seen).first()
    if found is None:
        judge(member, plan=plan)
    return found


def judge(member: Membership, *, plan: QualityPlan | None = None) -> None:
    """After the last task of her test, however it ended. `member` is locked."""
    if member.standing != Standing.TESTED or (plan := plan or member.plan) is None:
        return
    slots = list(tests_of(member, attempt=attempt_of(member)).values_list("task", flat=True))
    over = Assignment.objects.filter(rater=member.user_id, task__in=slots, state__in=SEEN).exclude(
        state=AssignmentState.LIVE
    )
    if not slots or over.values("task").distinct().count() < len(slots):
        return
    measure = credit_over_answers(
        (one.ranking.shown_tiers if one.ranking else [], one.gold.tiers) for one in answered(member)
    )
    has_passed = passes(measure, mark=plan.pass_mark)
    reason = told(measure, num=len(slots), mark=plan.pass_mark, has_passed=has_passed)
    change(member, to=Standing.TRUSTED if has_passed else Standing.FAILED, cause=Cause.TEST, reason=reason, by=None)


def passes(measure: Measure, *, mark: float) -> bool:
    """The credit reaches the mark, and its lower bound is above that of guessing: luck alone is not enough."""
    return measure.value is not None and measure.value >= mark and measure.low is not None and measure.low > CHANCE


def told(measure: Measure, *, num: int, mark: float, has_passed: bool) -> str:
    """As it is kept: `annotation.quality.sentences.said` has it in the reader's language."""
    if measure.value is None or measure.low is None or measure.high is None:
        return TEST_UNDEFINED % {"why": measure.why}
    not_passed = TEST_TOO_FEW if measure.value >= mark else TEST_FAILED
    return (TEST_PASSED if has_passed else not_passed) % {
        "share": in_percent(measure.value), "pairs": measure.num, "tasks": num, "low": in_percent(measure.low),
        "high": in_percent(measure.high), "mark": in_percent(mark),
    }  # fmt: skip


def answered(member: Membership) -> list[Answered]:
    """The tasks of her latest attempt that are over, in her order."""
    slots = list(tests_of(member, attempt=attempt_of(member)).select_related("task__gold", "task__prompt"))
    tasks = [slot.task_id for slot in slots]
    over = Assignment.objects.filter(rater=member.user_id, task__in=tasks, state__in=SEEN).exclude(
        state=AssignmentState.LIVE
    )
    assignments = {assignment.task_id: assignment for assignment in over}
    live = Ranking.objects.filter(rater=member.user_id, task__in=tasks, is_live=True).select_related("assignment")
    rankings = {ranking.task_id: ranking for ranking in live}
    return [
        Answered(slot.task.gold, rankings.get(slot.task_id), assignments[slot.task_id])
        for slot in slots
        if slot.task_id in assignments
    ]


def test_progress(member: Membership) -> TestProgress:
    return test_progress_of([member])[member.pk]


def test_progress_of(members: Sequence[Membership]) -> dict[int, TestProgress]:
    """By membership of one rater, who is tested in each; three queries. Their campaigns come with their quality plans."""
    if not members:
        return {}
    again = StandingChange.objects.filter(membership__in=members, before=Standing.FAILED, after=Standing.TESTED)
    attempts = Counter(again.values_list("membership", flat=True))
    rater, campaigns = members[0].user_id, [member.campaign_id for member in members]
    seen = Assignment.objects.filter(
        rater=rater, task__campaign__in=campaigns, task__kind=TaskKind.TEST, state__in=SEEN
    )
    over = set(seen.exclude(state=AssignmentState.LIVE).values_list("task", flat=True))
    laid: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for campaign, attempt, task in laid_out(rater, campaigns=campaigns):
        laid[campaign, attempt].append(task)
    found = {}
    for member in members:
        tasks = laid[member.campaign_id, attempts[member.pk]]
        plan = getattr(member.campaign, "quality_plan", None)
        found[member.pk] = TestProgress(len(tasks) or (plan.num_tests if plan else 0), len(over.intersection(tasks)))
    return found


def try_again(campaign: Campaign, *, rater: User, user: User | None) -> None:
    """Another test, of tasks that she has not had: the first ones were explained to her. Raises `TooFewTests`."""
    with transaction.atomic():
        member = locked(campaign, rater)
        plan = plan_of(campaign)
        num, left = plan.num_tests if plan else 0, len(fresh(member, kind=TaskKind.TEST))
        if left < num:
            raise TooFewTests(
                ngettext(
                    "The test has %(num)s tasks, and there is %(left)s that %(name)s has not had. Add test tasks first.",
                    "The test has %(num)s tasks, and there are %(left)s that %(name)s has not had. Add test tasks first.",
                    left,
                )
                % {"num": num, "left": left, "name": rater.username}
            )
        change(member, to=Standing.TESTED, cause=Cause.HAND, reason="", by=user)


def first_standing(campaign: Campaign) -> Standing:
    """Of one who joins."""
    plan = plan_of(campaign)
    return Standing.TESTED if plan is not None and plan.num_tests else Standing.TRUSTED
