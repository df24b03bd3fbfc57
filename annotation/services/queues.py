"""Walking the queues of a campaign: the next free slot for a rater, at a cost that does not grow with what she has seen.

Each rater has a bookmark in each queue. Ahead of it slots are walked in their order, by one index; behind it only those are
looked at that came back since, by another. So a slot that she may not take again is passed once, and not at every "next".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet, Value

from accounts.models import User
from annotation.models import SEEN, Assignment, Bookmark, Campaign, Queue, Slot

END = 2**63 - 1  # an order key behind the last
MOST_TOGETHER = 200  # slices in one union: SQLite takes 500


class FreeSlots(QuerySet[Slot]):
    def exclude_seen(self, rater: User) -> FreeSlots:
        """Without the tasks that she ranks now, has ranked, or has skipped."""
        mine = Assignment.objects.filter(task=OuterRef("task"), rater=rater, state__in=SEEN)
        return self.filter(~Exists(mine))


def free_slots() -> FreeSlots:
    """Those that anybody may take."""
    return FreeSlots(Slot).filter(is_free=True, reserved_for=None).select_related("task__prompt")


@dataclass(frozen=True, slots=True)
class Walk:
    """One queue as one rater finds it; `epoch` and `turn` are the queue's as they were before anything was looked at."""

    queue: int
    epoch: int
    turn: int
    rater: User
    bookmark: int | None = None
    from_key: int = 0
    from_turn: int = 0

    def returned(self) -> FreeSlots:
        """Behind her bookmark, in the order in which they came back."""
        behind = free_slots().filter(queue=self.queue, turn__gt=max(self.from_turn, 0), order_key__lt=self.from_key)
        return behind.order_by("turn", "order_key", "pk")

    def ahead(self) -> FreeSlots:
        return free_slots().filter(queue=self.queue, order_key__gte=self.from_key).order_by("order_key", "pk")

    def has_returned(self) -> bool:
        return self.from_turn < self.turn and self.from_key > 0

    def unseen(self) -> list[FreeSlots]:
        """Of tasks that are new to her, on either side of her bookmark."""
        sides = [self.returned(), self.ahead()] if self.has_returned() else [self.ahead()]
        return [slots.exclude_seen(self.rater) for slots in sides]


@dataclass(frozen=True, slots=True)
class Find:
    """The first slot of a walk for its rater, and where to look on if somebody takes that at this moment."""

    slot: Slot
    rest: Callable[[], FreeSlots]


def walks_of(campaigns: Iterable[Campaign], *, rater: User) -> dict[int, list[Walk]]:
    """By campaign, the queues that ask no language or skill that she hasn't. One query."""
    rows = Queue.objects.filter(campaign__in=campaigns).order_by("pk")
    rows = rows.filter(language__in=["", *rater.languages], skill__in=["", *rater.skills])
    marked = rows.annotate(mine=FilteredRelation("bookmarks", condition=Q(bookmarks__rater=rater)))
    found: dict[int, list[Walk]] = {}
    for campaign, queue, epoch, turn, bookmark, at_epoch, from_key, from_turn in marked.values_list(
        "campaign", "pk", "epoch", "turn", "mine__pk", "mine__epoch", "mine__order_key", "mine__turn"
    ):
        place = (from_key, from_turn) if at_epoch == epoch else (0, 0)
        found.setdefault(campaign, []).append(Walk(queue, epoch, turn, rater, bookmark, *place))
    return found


def next_slot(campaign: Campaign, *, rater: User) -> Slot | None:
    """Takes the first slot, over all queues that are for her, of a task that she hasn't seen; moves her bookmarks.

    Within the caller's transaction, which holds her membership.
    """
    walks = walks_of([campaign], rater=rater).get(campaign.pk, [])
    found = [find for walk in walks for find in looked_through(walk)]
    for find in sorted(found, key=lambda find: (find.slot.order_key, find.slot.pk)):
        if slot := take_found(find):
            return slot
    return None


def looked_through(walk: Walk) -> Iterator[Find]:
    """What came back for her, and what lies ahead, if there is any; her bookmark is moved up to them.

    Both are looked at without locks: a slot that somebody is about to take may yet be left, and must stay ahead of the mark.
    """
    returned = walk.returned().exclude_seen(walk.rater).first() if walk.has_returned() else None
    ahead = walk.ahead().exclude_seen(walk.rater).first()
    if returned is not None:
        yield Find(returned, lambda: walk.returned().exclude_seen(walk.rater))
    if ahead is not None:
        from_there = ahead.order_key
        yield Find(ahead, lambda: walk.ahead().filter(order_key__gte=from_there).exclude_seen(walk.rater))
    place = {
        "order_key": ahead.order_key if ahead else END,
        "turn": returned.turn - 1 if returned else walk.turn,
    }
    if (place["order_key"], place["turn"]) != (walk.from_key, walk.from_turn):
        move_bookmark(walk, **place)


def move_bookmark(walk: Walk, *, order_key: int, turn: int) -> None:
    place = {"epoch": walk.epoch, "order_key": order_key, "turn": turn}
    if walk.bookmark is None:
        Bookmark.objects.create(queue_id=walk.queue, rater=walk.rater, **place)
    else:
        Bookmark.objects.filter(pk=walk.bookmark).update(**place)


def take_found(find: Find) -> Slot | None:
    # SQLite has one writer at a time, and we are it: what was found is still there.
    if not connection.features.has_select_for_update_skip_locked and taken(find.slot):
        return find.slot
    return take_slot(find.rest())


def take_slot(slots: QuerySet[Slot]) -> Slot | None:
    """Takes the first free one for good, within the caller's transaction, whoever else tries at the same time."""
    # On PostgreSQL a slot that another transaction is taking is passed over; SQLite locks no rows and ignores this.
    waiting = slots.select_for_update(skip_locked=True, of=("self",))
    while (slot := waiting.first()) is not None:
        if taken(slot):
            return slot
    return None


def taken(slot: Slot) -> bool:
    return Slot.objects.filter(pk=slot.pk, is_free=True).update(is_free=False) == 1


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
