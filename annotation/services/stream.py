"""A rater's stream of tasks: which of its places are checks, drawn at random ahead of her and stored, so that nothing tells.

A check is a slot reserved for her, whose `order_key` is its place in her stream. Places are drawn some at a time, and the
tasks are made then: giving out a check takes no longer than giving out work.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Q, QuerySet

from annotation.models import (
    SEEN,
    Assignment,
    GoldAnswer,
    Membership,
    QualityPlan,
    Ranking,
    RankingTask,
    Slot,
    Standing,
    TaskCompletion,
    TaskKind,
    plan_of,
)

BLOCK = 10  # places that are drawn at a time
LATEST = 200  # of her rankings, of which repeats are made
MOST_TESTS = 1000  # of one attempt: what its places are told apart from those of the next by

lot = random.SystemRandom()


def lay_out(member: Membership) -> None:
    """Draws the places up to `BLOCK` ahead of her, where that is due. `member` is locked."""
    plan = plan_of(member.campaign)
    if plan is None or member.standing != Standing.TRUSTED:
        return
    place = num_given(member) + 1
    if place <= member.planned_to:
        return
    places = range(place, place + BLOCK)
    drawn = {at: kind for at in places if (kind := draw(plan)) is not None}
    reserve_gold(member, places=[at for at, kind in drawn.items() if kind == TaskKind.GOLD])
    reserve_repeats(member, plan=plan, places=[at for at, kind in drawn.items() if kind == TaskKind.REPEAT])
    member.planned_to = places[-1]
    member.save(update_fields=["planned_to"])


def draw(plan: QualityPlan) -> TaskKind | None:
    drawn = lot.random()
    if drawn < plan.gold_share:
        return TaskKind.GOLD
    return TaskKind.REPEAT if drawn < plan.gold_share + plan.repeat_share else None


def num_given(member: Membership) -> int:
    mine = Assignment.objects.filter(rater=member.user_id, task__campaign=member.campaign_id, state__in=SEEN)
    return mine.exclude(task__kind=TaskKind.TEST).count()


def checks_due(member: Membership) -> QuerySet[Slot]:
    """Slots of checks whose place has come, the first first."""
    own = reserved(member).exclude(task__kind=TaskKind.TEST)
    if member.planned_to == 0:  # nobody has drawn a place for her yet
        return own.none()
    return own.filter(order_key__lte=num_given(member) + 1)


def reserved(member: Membership) -> QuerySet[Slot]:
    """What is laid out for her and not given yet, without gold that was retired."""
    seen = Assignment.objects.filter(rater=member.user_id, state__in=SEEN).values("task")
    mine = Slot.objects.filter(reserved_for=member.user_id, campaign=member.campaign_id, is_free=True)
    mine = mine.select_related("task__prompt")  # as from a queue: a check costs the same questions as work
    return mine.filter(task__gold__retired_at=None).exclude(task__in=seen).order_by("order_key", "pk")


def reserve_gold(member: Membership, *, places: list[int]) -> None:
    """Gold that she has never had, did not make, and whose source she has not seen."""
    if not places:
        return
    found = fresh(member, kind=TaskKind.GOLD)
    for task, place in zip(sample(found, len(places)), places, strict=False):
        give(task, member, place=place)


def fresh(member: Membership, *, kind: TaskKind) -> list[RankingTask]:
    mine = Assignment.objects.filter(rater=member.user_id, task__campaign=member.campaign_id)
    laid = Slot.objects.filter(reserved_for=member.user_id, campaign=member.campaign_id)
    golds = (
        GoldAnswer.objects.filter(task__campaign=member.campaign_id, task__kind=kind, retired_at=None)
        .exclude(Q(made_by=member.user_id) & Q(made_by__isnull=False))
        .exclude(task__in=laid.values("task"))
    )
    seen = set(mine.values_list("task", flat=True))
    return [gold.task for gold in golds.select_related("task") if gold.source_id not in seen]


def reserve_repeats(member: Membership, *, plan: QualityPlan, places: list[int]) -> None:
    """Each of a task that she ranked `repeat_after` places before, or more; none twice."""
    if not places:
        return
    done = rankable(member)
    taken = set(
        RankingTask.objects.filter(repeats__isnull=False, slots__reserved_for=member.user_id).values_list(
            "repeats", flat=True
        )
    )
    for place in places:
        far = [task for at, task in done if at <= place - plan.repeat_after and task not in taken]
        if far:
            chosen = lot.choice(far)
            taken.add(chosen)
            give(repeat_of(chosen), member, place=place)


def rankable(member: Membership) -> list[tuple[int, Any]]:
    """(place, task) of the work that she ordered in two places or more, of the latest."""
    mine = Assignment.objects.filter(rater=member.user_id, task__campaign=member.campaign_id, state__in=SEEN)
    given = list(mine.exclude(task__kind=TaskKind.TEST).order_by("leased_at", "pk").values_list("task", flat=True))
    ranked = Ranking.objects.filter(
        rater=member.user_id, task__in=given, task__kind=TaskKind.WORK, is_live=True, cannot_rank=""
    )
    found = {
        ranking.task_id for ranking in ranked.order_by("-created_at", "-pk")[:LATEST] if len(ranking.shown_tiers) > 1
    }
    return [(place, task) for place, task in enumerate(given, start=1) if task in found]


def repeat_of(source: Any) -> RankingTask:
    before = RankingTask.objects.get(pk=source)
    made = RankingTask.objects.create(
        campaign_id=before.campaign_id, prompt_id=before.prompt_id, kind=TaskKind.REPEAT, repeats=before
    )
    TaskCompletion.objects.bulk_create(
        TaskCompletion(task=made, completion_id=entry.completion_id, index=entry.index)
        for entry in before.entries.all()
    )
    return made


def give(task: RankingTask, member: Membership, *, place: int) -> Slot:
    """A slot of a check for her alone. Locks the task, so that two raters' slots get two numbers."""
    RankingTask.objects.select_for_update(no_key=True).get(pk=task.pk)
    return Slot.objects.create(
        task=task, campaign_id=member.campaign_id, number=task.slots.count(), reserved_for_id=member.user_id,
        order_key=place,
    )  # fmt: skip


def sample(tasks: Iterable[RankingTask], count: int) -> list[RankingTask]:
    """By lot; in the order of their keys, in which everybody locks them, they are given random places all the same."""
    found = list(tasks)
    return sorted(lot.sample(found, min(count, len(found))), key=lambda task: task.pk)


# Tests


def lay_out_test(member: Membership, *, num: int, attempt: int) -> int:
    """Test tasks that she has not had, as many as there are of `num`; says how many are laid out for this attempt."""
    laid = tests_of(member, attempt=attempt).count()
    if laid:
        return laid
    tasks = sample(fresh(member, kind=TaskKind.TEST), num)
    places = lot.sample(range(len(tasks)), len(tasks))
    for task, place in zip(tasks, places, strict=True):
        give(task, member, place=attempt * MOST_TESTS + place)
    return len(tasks)


def tests_of(member: Membership, *, attempt: int) -> QuerySet[Slot]:
    """The slots of one attempt, given or not, without those that were retired."""
    first = attempt * MOST_TESTS
    mine = test_slots(member.user_id, campaigns=[member.campaign_id])
    return mine.filter(order_key__gte=first, order_key__lt=first + MOST_TESTS).order_by("order_key", "pk")


def test_slots(rater: int, *, campaigns: Iterable[int]) -> QuerySet[Slot]:
    mine = Slot.objects.filter(reserved_for=rater, campaign__in=campaigns, task__kind=TaskKind.TEST)
    return mine.filter(task__gold__retired_at=None)


def laid_out(rater: int, *, campaigns: Iterable[int]) -> list[tuple[int, int, Any]]:
    """(campaign, attempt, task) of all tests of one rater."""
    rows = test_slots(rater, campaigns=campaigns).order_by().values_list("campaign", "order_key", "task")
    return [(campaign, place // MOST_TESTS, task) for campaign, place, task in rows]


def num_ahead(members: Iterable[Membership], *, num_work: dict[int, int]) -> dict[int, int]:
    """By campaign id, the checks that one rater will come to while there is work (`num_work`, by campaign); for her desk.

    Before the check at place p, as the n-th of them, come p - 1 - n tasks of work beyond those that she was given.
    """
    found = {member.campaign_id: member for member in members}
    if not found:
        return {}
    rater = next(iter(found.values())).user_id
    mine = Assignment.objects.filter(rater=rater, task__campaign__in=found, state__in=SEEN)
    given = dict(
        mine.exclude(task__kind=TaskKind.TEST).order_by().values("task__campaign").annotate(n=Count("pk"))
        .values_list("task__campaign", "n")
    )  # fmt: skip
    slots = Slot.objects.filter(
        reserved_for=rater, campaign__in=found, is_free=True, task__gold__retired_at=None
    ).exclude(task__in=mine.values("task"))
    ahead: defaultdict[int, int] = defaultdict(int)
    for campaign, place in (
        slots.exclude(task__kind=TaskKind.TEST).order_by("order_key").values_list("campaign", "order_key")
    ):
        work_before = place - 1 - given.get(campaign, 0) - ahead[campaign]
        ahead[campaign] += work_before <= num_work.get(campaign, 0)
    return dict(ahead)
