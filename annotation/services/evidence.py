"""What a rater's rankings say of her judgement: derived from rows alone, whenever it is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from annotation.models import Membership, QualityPlan, Ranking, Standing, StandingChange, TaskKind
from annotation.quality.gold import credit_of_answer, self_consistency
from annotation.quality.judgement import Measure, Order, in_percent, told
from annotation.quality.sentences import PAUSED_BY_CREDIT, PAUSED_BY_HASTE, PAUSED_BY_LEANING
from annotation.quality.sequential import PauseTest, update
from annotation.quality.watch import Timed, Watched, watch_haste, watch_leaning
from annotation.services.gold_credit import credit_on_gold

CHECKED = (TaskKind.GOLD, TaskKind.REPEAT)
CREDIT_PART, HASTE_PART, LEAN_PART = 0.8, 0.1, 0.1  # of the rate of false alarms, which is of all three together


@dataclass(frozen=True, slots=True)
class Check:
    """One answer to a task whose order is known, or that she had ranked before (`expected` is then what she said)."""

    kind: str
    tiers: Order
    expected: Order

    @property
    def credit(self) -> float | None:
        return credit_of_answer(self.tiers, self.expected).value


@dataclass(frozen=True, slots=True)
class Evidence:
    """`gold` and `repeats` are over all that she ever answered here; the bets only since her test last began anew."""

    gold: Measure
    repeats: Measure
    test: PauseTest
    haste: Watched | None  # None where it was not looked at
    leaning: Watched | None

    @property
    def reason(self) -> str:
        """Why she is to be paused, as a sentence to her, as it is kept (`quality.sentences`); empty where she is not."""
        if self.test.is_paused:
            return PAUSED_BY_CREDIT % {
                "num": self.test.num,
                "share": in_percent(self.test.credit / self.test.num),
            }
        if self.haste is not None and self.haste.decided_at is not None:
            return PAUSED_BY_HASTE % {"num": self.haste.num, "share": in_percent(self.haste.share)}
        if self.leaning is not None and self.leaning.decided_at is not None:
            return PAUSED_BY_LEANING % {"num": self.leaning.num, "share": in_percent(self.leaning.share)}
        return ""


def evidence_of(member: Membership, *, plan: QualityPlan, looks_at_habits: bool = True) -> Evidence:
    return evidence_for([member], plan=plan, looks_at_habits=looks_at_habits)[member.pk]


def evidence_for(
    members: Sequence[Membership], *, plan: QualityPlan, looks_at_habits: bool = True
) -> dict[int, Evidence]:
    """By membership of one campaign, in three queries, and one a rater for her habits."""
    began, checks = tests_began(members), checks_of(members)
    return {
        member.pk: weighed(
            member,
            checks=checks[member.user_id],
            since=began.get(member.pk),
            plan=plan,
            looks_at_habits=looks_at_habits,
        )
        for member in members
    }


def weighed(
    member: Membership,
    *,
    checks: list[tuple[datetime, Check]],
    since: datetime | None,
    plan: QualityPlan,
    looks_at_habits: bool,
) -> Evidence:
    test = PauseTest(alpha=plan.false_alarm * CREDIT_PART, floor=plan.floor)
    for at, check in checks:
        if (credit := check.credit) is not None and (since is None or at > since):
            test = update(test, credit=credit, k=sum(map(len, check.expected)))
    habits = habits_of(member, since=since) if looks_at_habits else None
    alpha = plan.false_alarm
    return Evidence(
        gold=told(credit_on_gold((one.tiers, one.expected) for _, one in checks if one.kind == TaskKind.GOLD)),
        repeats=told(self_consistency((one.tiers, one.expected) for _, one in checks if one.kind == TaskKind.REPEAT)),
        test=test,
        haste=watch_haste(habits.timed, alpha=alpha * HASTE_PART) if habits else None,
        leaning=watch_leaning(habits.shown, alpha=alpha * LEAN_PART) if habits else None,
    )


def tests_began(members: Sequence[Membership]) -> dict[int, datetime]:
    """When a pause was last lifted, by membership; what she did before that was judged then."""
    lifted = StandingChange.objects.filter(membership__in=members, before=Standing.PAUSED).order_by("at")
    return dict(lifted.values_list("membership", "at"))


def checks_of(members: Sequence[Membership]) -> dict[int, list[tuple[datetime, Check]]]:
    """By rater, in the order in which they came. A correction does not undo a first answer; retired gold asks nothing."""
    raters, campaigns = [one.user_id for one in members], {one.campaign_id for one in members}
    mine = Ranking.objects.filter(rater__in=raters, task__campaign__in=campaigns).order_by("created_at", "pk")
    first = mine.filter(task__kind__in=CHECKED, supersedes=None, task__gold__retired_at=None)
    answers = list(first.select_related("task__gold"))
    before = said_before(mine, [answer.task.repeats_id for answer in answers if answer.task.repeats_id])
    found: dict[int, list[tuple[datetime, Check]]] = {rater: [] for rater in raters}
    for answer in answers:
        expected: Order = []
        if answer.task.kind == TaskKind.GOLD:
            expected = answer.task.gold.tiers
        else:
            said = before[answer.rater_id, answer.task.repeats_id]
            expected = next((tiers for at, tiers in reversed(said) if at < answer.created_at), [])
        found[answer.rater_id].append((answer.created_at, Check(answer.task.kind, answer.shown_tiers, expected)))
    return found


def said_before(mine: QuerySet[Ranking], tasks: Iterable[Any]) -> dict[tuple[int, Any], list[tuple[datetime, Order]]]:
    """What raters said of tasks that came to them again, oldest first."""
    found: defaultdict[tuple[int, Any], list[tuple[datetime, Order]]] = defaultdict(list)
    for ranking in mine.filter(task__in=list(tasks)):
        found[ranking.rater_id, ranking.task_id].append((ranking.created_at, ranking.shown_tiers))
    return found


@dataclass(frozen=True, slots=True)
class Habits:
    timed: list[Timed]
    shown: list[tuple[Order, tuple[str, ...]]]


def habits_of(member: Membership, *, since: datetime | None) -> Habits:
    """Of first answers: what a correction takes is no measure. A repeat has been read before, so its time is none either."""
    mine = Ranking.objects.filter(
        Q() if since is None else Q(created_at__gt=since),
        rater=member.user_id, task__campaign=member.campaign_id, supersedes=None, cannot_rank="",
    )  # fmt: skip
    rows = mine.order_by("created_at", "pk").values_list(
        "seconds", "num_characters", "tiers", "edit", "task__kind", "assignment__order"
    )
    timed, shown = [], []
    for seconds, characters, tiers, edit, kind, order in rows:
        if seconds is not None and characters is not None and kind != TaskKind.REPEAT:
            timed.append(Timed(seconds, characters))
        shown.append((tiers[1:] if edit else tiers, tuple(order)))
    return Habits(timed, shown)
