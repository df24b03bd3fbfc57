"""Walking the queues of a campaign: the next free slot for a rater, at a cost that does not grow with what she has seen.

Each rater has a bookmark in each queue. Ahead of it slots are walked in their order, by one index; behind it only those are
looked at that came back since, by another. So a slot that she may not take again is passed once, and not at every "next".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet, Value

from accounts.models import User
from accounts.prepared import Changes, prepared, prepared_update
from annotation.models import SEEN, Assignment, Bookmark, Campaign, Queue, Slot

END = 2**63 - 1  # an order key behind the last
MOST_TOGETHER = 200  # slices in one union: SQLite takes 500


class FreeSlots(QuerySet[Slot]):
    def exclude_seen(self, rater: int) -> FreeSlots:
        """Without the tasks that she ranks now, has ranked, or has skipped."""
        mine = Assignment.objects.filter(task=OuterRef("task"), rater=rater, state__in=SEEN)
        return self.filter(~Exists(mine))


def free_slots() -> FreeSlots:
    """Those that anybody may take."""
    return FreeSlots(Slot).filter(is_free=True, reserved_for=None).select_related("task__prompt")


def returned(queue: int, from_turn: int, from_key: int) -> FreeSlots:
    """Behind a bookmark, in the order in which they came back since it was moved."""
    return (
        free_slots().filter(queue=queue, turn__gt=from_turn, order_key__lt=from_key).order_by("turn", "order_key", "pk")
    )


def ahead(queue: int, from_key: int) -> FreeSlots:
    return free_slots().filter(queue=queue, order_key__gte=from_key).order_by("order_key", "pk")


@prepared
def first_returned(queue: int, from_turn: int, from_key: int, rater: int) -> QuerySet[Slot]:
    return returned(queue, from_turn, from_key).exclude_seen(rater)[:1]


@prepared
def first_ahead(queue: int, from_key: int, rater: int) -> QuerySet[Slot]:
    return ahead(queue, from_key).exclude_seen(rater)[:1]


@prepared
def held_returned(queue: int, from_turn: int, from_key: int, rater: int) -> QuerySet[Slot]:
    return held(returned(queue, from_turn, from_key).exclude_seen(rater))[:1]


@prepared
def held_ahead(queue: int, from_key: int, rater: int) -> QuerySet[Slot]:
    return held(ahead(queue, from_key).exclude_seen(rater))[:1]


def held(slots: QuerySet[Slot]) -> QuerySet[Slot]:
    """Locked. On PostgreSQL a slot that another transaction is taking is passed over; SQLite locks no rows, and ignores this."""
    return slots.select_for_update(skip_locked=True, of=("self",))


@dataclass(frozen=True, slots=True)
class Walk:
    """One queue as one rater finds it; `epoch` and `turn` are the queue's as they were before anything was looked at."""

    queue: int
    epoch: int
    turn: int
    rater: int
    bookmark: int | None = None
    from_key: int = 0
    from_turn: int = 0

    def has_returned(self) -> bool:
        return self.from_turn < self.turn and self.from_key > 0

    def unseen(self) -> list[FreeSlots]:
        """Of tasks that are new to her, on either side of her bookmark."""
        sides = [ahead(self.queue, self.from_key)]
        if self.has_returned():
            sides.insert(0, returned(self.queue, self.from_turn, self.from_key))
        return [slots.exclude_seen(self.rater) for slots in sides]


@dataclass(frozen=True, slots=True)
class Find:
    """The first slot of a walk for its rater, and how to find the first again, locked, if somebody takes it at this moment."""

    slot: Slot
    again: Callable[[], Slot | None]


def marked_queues(rater: int) -> QuerySet[Queue, Any]:
    """All queues, each with her bookmark in it: what `walk_of` reads."""
    marked = Queue.objects.annotate(mine=FilteredRelation("bookmarks", condition=Q(bookmarks__rater=rater)))
    return marked.order_by("pk").values_list(
        "campaign",
        "language",
        "skill",
        "pk",
        "epoch",
        "turn",
        "mine__pk",
        "mine__epoch",
        "mine__order_key",
        "mine__turn",
    )


@prepared
def queues_of(campaign: int, rater: int) -> QuerySet[Queue, Any]:
    return marked_queues(rater).filter(campaign=campaign)


def walks_of(campaigns: Iterable[Campaign], *, rater: User) -> dict[int, list[Walk]]:
    """By campaign, the queues that ask no language or skill that she hasn't. One query."""
    found: dict[int, list[Walk]] = {}
    for campaign, *row in marked_queues(rater.pk).filter(campaign__in=campaigns):
        found.setdefault(campaign, []).extend(walk_of(row, rater=rater))
    return found


def walk_of(row: Sequence[Any], *, rater: User) -> Iterator[Walk]:
    language, skill, queue, epoch, turn, bookmark, at_epoch, from_key, from_turn = row
    if language in ("", *rater.languages) and skill in ("", *rater.skills):
        place = (from_key, max(from_turn, 0)) if at_epoch == epoch else (0, 0)
        yield Walk(queue, epoch, turn, rater.pk, bookmark, *place)


def next_slot(campaign: Campaign, *, rater: User) -> Slot | None:
    """Takes the first slot, over all queues that are for her, of a task that she hasn't seen; moves her bookmarks.

    Within the caller's transaction, which holds her membership.
    """
    walks = [walk for _, *row in queues_of(campaign.pk, rater.pk) for walk in walk_of(row, rater=rater)]
    found = [find for walk in walks for find in looked_through(walk)]
    for find in sorted(found, key=lambda find: (find.slot.order_key, find.slot.pk)):
        if slot := take_found(find):
            return slot
    return None


def looked_through(walk: Walk) -> Iterator[Find]:
    """What came back for her, and what lies ahead, if there is any; her bookmark is moved up to them.

    Both are looked at without locks: a slot that somebody is about to take may yet be left, and must stay ahead of the mark.
    """
    behind = (walk.queue, walk.from_turn, walk.from_key, walk.rater)
    back = first_returned.first(*behind) if walk.has_returned() else None
    new = first_ahead.first(walk.queue, walk.from_key, walk.rater)
    if back is not None:
        yield Find(back, lambda: held_returned.first(*behind))
    if new is not None:
        from_there = (walk.queue, new.order_key, walk.rater)
        yield Find(new, lambda: held_ahead.first(*from_there))
    place = (new.order_key if new else END, back.turn - 1 if back else walk.turn)
    if place != (walk.from_key, walk.from_turn):
        move_bookmark(walk, *place)


def move_bookmark(walk: Walk, order_key: int, turn: int) -> None:
    if walk.bookmark is None:
        Bookmark.objects.create(
            queue_id=walk.queue, rater_id=walk.rater, epoch=walk.epoch, order_key=order_key, turn=turn
        )
    else:
        moved(walk.bookmark, walk.epoch, order_key, turn)


@prepared_update
def moved(bookmark: int, epoch: int, order_key: int, turn: int) -> Changes:
    return Bookmark.objects.filter(pk=bookmark), {"epoch": epoch, "order_key": order_key, "turn": turn}


def take_found(find: Find) -> Slot | None:
    # SQLite has one writer at a time, and we are it: what was found is still there.
    if not connection.features.has_select_for_update_skip_locked and taken(find.slot):
        return find.slot
    return first_taken(find.again)


def take_slot(slots: QuerySet[Slot]) -> Slot | None:
    """Takes the first free one for good, within the caller's transaction, whoever else tries at the same time."""
    return first_taken(held(slots).first)


def first_taken(find: Callable[[], Slot | None]) -> Slot | None:
    while (slot := find()) is not None:
        if taken(slot):
            return slot
    return None


@prepared_update
def take(slot: int) -> Changes:
    return Slot.objects.filter(pk=slot, is_free=True), {"is_free": False}


def taken(slot: Slot) -> bool:
    return take(slot.pk) == 1


def next_turn(queue: int) -> int:
    """The number that slots carry which come back now. Locks the queue until the commit: so before any slot is locked."""
    Queue.objects.filter(pk=queue).update(turn=F("turn") + 1)
    return Queue.objects.values_list("turn", flat=True).get(pk=queue)


def lock_queue(slot: Slot) -> None:
    """For who takes a slot first and may give or make one later in the same transaction: queues are locked before slots."""
    if slot.queue_id is not None:
        Queue.objects.select_for_update(no_key=True).get(pk=slot.queue_id)


def lock_queues(slots: Iterable[Slot]) -> None:
    """For who gives several back."""
    queues = sorted({slot.queue_id for slot in slots if slot.queue_id is not None})
    list(Queue.objects.select_for_update(no_key=True).filter(pk__in=queues).order_by("pk").values_list("pk", flat=True))


def give_back(slot: Slot, *, with_others: bool) -> None:
    """Frees a slot; `with_others` where the rater may take another slot of its task, which her bookmark may have passed."""
    if slot.queue_id is None:
        Slot.objects.filter(pk=slot.pk, is_free=False).update(is_free=True)
        return
    turn = next_turn(slot.queue_id)
    Slot.objects.filter(pk=slot.pk, is_free=False).update(is_free=True, turn=turn)
    if with_others:
        free_slots().filter(task=slot.task_id).exclude(pk=slot.pk).update(turn=turn)


def queue_of(campaign: Campaign, *, language: str = "", skill: str = "") -> Queue:
    return Queue.objects.get_or_create(campaign=campaign, language=language, skill=skill)[0]


def begin_anew(queues: Iterable[Queue]) -> None:
    """Call it last where slots were made or moved: it locks queues until the commit, so that raters' bookmarks know."""
    for pk in sorted({queue.pk for queue in queues}):  # in one order, as everybody who locks several
        Queue.objects.filter(pk=pk).update(epoch=F("epoch") + 1)


def num_waiting(walks: dict[int, list[Walk]], *, up_to: int) -> dict[int, int]:
    """By campaign, the tasks with a free slot for her; stops counting at `up_to`.

    Slots of one task lie apart, so more slots than tasks are looked at, page by page until there are enough: most often one
    query for all campaigns together.
    """
    tasks: dict[int, set[object]] = {campaign: set() for campaign in walks}
    rest = [(campaign, rows) for campaign, own in walks.items() for walk in own for rows in walk.unseen()]
    start, size = 0, 2 * up_to
    while rest:
        pages = tasks_of([rows[start : start + size] for _, rows in rest])
        for (campaign, _), page in zip(rest, pages, strict=True):
            tasks[campaign].update(page)
        rest = [one for one, page in zip(rest, pages, strict=True) if len(page) == size and len(tasks[one[0]]) < up_to]
        start += size
    return {campaign: min(len(found), up_to) for campaign, found in tasks.items()}


def tasks_of(slices: Sequence[QuerySet[Slot]]) -> list[list[object]]:
    """The tasks of each of some slices of slots, in one query for `MOST_TOGETHER` of them."""
    found: list[list[object]] = [[] for _ in slices]
    for first in range(0, len(slices), MOST_TOGETHER):
        # Each by its keys: SQLite has no slices within a union.
        parts = [
            Slot.objects.filter(pk__in=rows.values("pk")).order_by().values_list(Value(at), "task")
            for at, rows in enumerate(slices[first : first + MOST_TOGETHER], start=first)
        ]
        for at, task in parts[0].union(*parts[1:], all=True):
            found[at].append(task)
    return found
