"""What must hold of leases and rankings, counted over rows alone: the code that writes them has no part in it."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation.models import HOLDS_SLOT, Assignment, AssignmentState, Ranking, RankingTask, Slot
from audit.invariants import invariant

RANKED = (AssignmentState.DONE, AssignmentState.SURPLUS)


def held() -> QuerySet[Assignment]:
    return Assignment.objects.filter(state__in=HOLDS_SLOT).order_by()


@invariant("No task is held by more raters than it has slots.")
def overlap() -> Iterator[str]:
    def number_of(rows: QuerySet[Assignment] | QuerySet[Slot]) -> Coalesce:
        mine = rows.filter(task=OuterRef("pk")).order_by().values("task").annotate(n=Count("pk")).values("n")
        return Coalesce(Subquery(mine), 0)

    tasks = RankingTask.objects.annotate(num_held=number_of(held()), num_slots=number_of(Slot.objects.all()))
    for pk in tasks.filter(num_held__gt=F("num_slots")).order_by("pk").values_list("pk", flat=True):
        yield f"task {pk}"


@invariant("A slot is held by one assignment, or it is free.")
def slots() -> Iterator[str]:
    holders = Count("assignments", filter=Q(assignments__state__in=HOLDS_SLOT))
    wrong = Slot.objects.annotate(holders=holders).exclude(is_free=True, holders=0).exclude(is_free=False, holders=1)
    for slot in wrong.order_by("pk"):
        yield f"slot {slot.pk} of task {slot.task_id}"


@invariant("A rater holds a task once.")
def once_a_rater() -> Iterator[str]:
    for row in held().values("task", "rater").annotate(n=Count("pk")).filter(n__gt=1):
        yield f"task {row['task']} and rater {row['rater']}"


@invariant("An assignment is of its slot's task, and a slot of its task's campaign.")
def same_task() -> Iterator[str]:
    for pk in Assignment.objects.exclude(slot__task=F("task")).order_by("pk").values_list("pk", flat=True):
        yield f"assignment {pk}"
    for slot in Slot.objects.exclude(campaign=F("task__campaign")).order_by("pk"):
        yield f"slot {slot.pk}"


@invariant("Of an assignment that was ranked, one ranking is live; of any other, none.")
def one_live_ranking() -> Iterator[str]:
    live = Count("rankings", filter=Q(rankings__is_live=True))
    counted = Assignment.objects.annotate(live=live)
    wrong = counted.exclude(state__in=RANKED, live=1).exclude(~Q(state__in=RANKED), live=0)
    for pk in wrong.order_by("pk").values_list("pk", flat=True):
        yield f"assignment {pk}"


@invariant("A rater has one live ranking of a task.")
def one_ranking_a_rater() -> Iterator[str]:
    live = Ranking.objects.filter(is_live=True).order_by().values("task", "rater")
    for row in live.annotate(n=Count("pk")).filter(n__gt=1):
        yield f"task {row['task']} and rater {row['rater']}"


@invariant("A submission is stored once.")
def one_row_a_submission() -> Iterator[str]:
    for row in Ranking.objects.order_by().values("client_uuid").annotate(n=Count("pk")).filter(n__gt=1):
        yield f"client_uuid {row['client_uuid']}"


@invariant("A ranking is of its assignment's task and rater.")
def same_rater() -> Iterator[str]:
    wrong = Ranking.objects.exclude(task=F("assignment__task"), rater=F("assignment__rater"))
    for pk in wrong.order_by("pk").values_list("pk", flat=True):
        yield f"ranking {pk}"


@invariant(
    "What was superseded is no longer live, and what is not live was superseded, once and in its own assignment."
)
def corrections() -> Iterator[str]:
    newer = Ranking.objects.filter(supersedes=OuterRef("pk"))
    rows = Ranking.objects.annotate(
        is_superseded=Exists(newer), elsewhere=Exists(newer.exclude(assignment=OuterRef("assignment")))
    )
    wrong = rows.filter(Q(is_live=F("is_superseded")) | Q(elsewhere=True))
    for pk in wrong.order_by("pk").values_list("pk", flat=True):
        yield f"ranking {pk}"
    twice = Ranking.objects.exclude(supersedes=None).order_by().values("supersedes").annotate(n=Count("pk"))
    for row in twice.filter(n__gt=1):
        yield f"ranking {row['supersedes']}"


@invariant("A ranking names every text that its rater was shown, each once.")
def texts() -> Iterator[str]:
    rows = Ranking.objects.filter(cannot_rank="").order_by("pk").values_list(
        "pk", "tiers", "unranked", "edit", "assignment__order"
    )  # fmt: skip
    for pk, tiers, unranked, edit, order in rows.iterator():
        named = [text for tier in tiers for text in tier if text != str(edit)] + unranked
        if sorted(named) != sorted(order):
            yield f"ranking {pk}"
