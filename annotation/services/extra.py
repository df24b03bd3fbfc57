"""One more rater for a task whose rankings differ, as often as the campaign says: decided where a ranking is stored.

A slot is added once all slots of a task are answered and their agreement is below the campaign's bound. The task is locked
before anything is counted, so that of two who submit the last rankings at once the later one sees both.
"""

from __future__ import annotations

from annotation.models import HOLDS_SLOT, Assignment, AssignmentState, Ranking, RankingTask, Slot, TaskKind
from annotation.quality.measures import mean_agreement
from annotation.services.completions import order_key
from annotation.services.queues import lock_queues, next_turn


def lock_task(assignment: Assignment, *, is_new: bool = False) -> None:
    """Before any slot is locked: the task where slots may be added; and queues, which come before the purse.

    Where what she submits may pause her, they are those of all that she holds, since a pause gives that back. What is not
    `is_new` is a correction: it costs nothing, and pauses nobody.
    """
    campaign, member = assignment.slot.campaign, assignment.member
    adds = campaign.extra_below is not None
    may_pause = is_new and hasattr(campaign, "purse") and member is not None and member.plan is not None
    if adds:
        RankingTask.objects.select_for_update(no_key=True).get(pk=assignment.task_id)
    if adds or may_pause:
        held = Assignment.objects.filter(rater=assignment.rater_id, state=AssignmentState.LIVE).select_related("slot")
        lock_queues([assignment.slot, *(one.slot for one in held.order_by() if may_pause)])


def add_if_they_differ(assignment: Assignment) -> Slot | None:
    """A free slot more, behind those that are there; None where nothing is wanted. Within the transaction of `lock_task`."""
    campaign = assignment.slot.campaign
    below, most = campaign.extra_below, campaign.extra_most
    if below is None or most is None or assignment.slot.queue_id is None:
        return None
    task = RankingTask.objects.get(pk=assignment.task_id)
    slots = list(task.slots.values_list("number", flat=True))
    answered = Assignment.objects.filter(task=task, state__in=HOLDS_SLOT).exclude(state=AssignmentState.LIVE).count()
    if task.kind != TaskKind.WORK or len(slots) >= most or answered < len(slots):
        return None
    found = mean_agreement(orders_of(task))
    if found.value is None or 100 * found.value >= below:
        return None
    number = max(slots) + 1
    return Slot.objects.create(
        task=task, campaign=campaign, queue_id=assignment.slot.queue_id, number=number, order_key=order_key(task, number),
        turn=next_turn(assignment.slot.queue_id),
    )  # fmt: skip


def orders_of(task: RankingTask) -> list[list[list[str]]]:
    """The texts that all were shown, as each ordered them; an empty order says that it cannot be ranked."""
    return [ranking.shown_tiers for ranking in Ranking.objects.filter(task=task, is_live=True).order_by("created_at")]
