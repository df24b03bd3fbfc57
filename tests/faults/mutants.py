"""A program: the web server of a build that is broken in one named way. A test that never failed on one of these proves nothing.

    python -m tests.faults.mutants unlocked -b 127.0.0.1 -p 8000 config.asgi:application

What the database itself would refuse, `DROPPED` takes from it first: such a build would not have made that constraint.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import django

from tests.faults import powercut

# (table, name of an index or of a unique column)
DROPPED: dict[str, tuple[tuple[str, str], ...]] = {
    "unlocked": (
        ("annotation_assignment", "a_slot_is_held_once"),
        ("annotation_assignment", "a_task_once_a_rater"),
    ),
    "unhoused": (
        ("annotation_assignment", "a_slot_is_held_once"),
        ("annotation_assignment", "a_task_once_a_rater"),
    ),
    "keyless": (
        ("annotation_ranking", "one_live_ranking_an_assignment"),
        ("annotation_ranking", "client_uuid"),
    ),
    "unconditional": (
        ("annotation_ranking", "one_live_ranking_an_assignment"),
        ("annotation_ranking", "supersedes_id"),
    ),
}


def unlocked() -> None:
    """Reads which slot is free, then takes it, as if nobody else did the same: no lock, no transaction, no condition."""
    from annotation.services import assign, queues

    def taken(slot: Any) -> bool:
        time.sleep(0.05)  # a busy machine's pause between two statements, long enough for another process to read, too
        queues.Slot.objects.filter(pk=slot.pk).update(is_free=False)
        return True

    without_locks(assign)
    queues.taken = taken


def keyless() -> None:
    """Takes every submission for a new one."""
    from annotation.services import rank

    def hold(assignment: Any) -> None:
        rank.Assignment.objects.filter(pk=assignment.pk).update(state=rank.AssignmentState.DONE)

    rank.replayed = lambda *_, **__: None
    rank.hold = hold


def unconditional() -> None:
    """Supersedes whatever stands there, whether it is still the newest or not."""
    from annotation.models import Ranking
    from annotation.services import rank

    def correct_ranking(ranking: Any, *, rater: Any, submission: Any) -> Any:
        mine = Ranking.objects.get(pk=ranking.pk, rater=rater)
        with rank.transaction.atomic():
            Ranking.objects.filter(pk=mine.pk).update(is_live=False)
            judged = rank.judged_of(mine.assignment, submission)
            length = rank.num_characters(mine.assignment)
            return rank.store(
                mine.assignment, submission, judged=judged, num_characters=length, seconds=None, supersedes=mine
            )

    replace(rank, "correct_ranking", correct_ranking)


def forgetful() -> None:
    """Takes back one ranking in five after it said "saved", as a transaction does that was never committed."""
    from annotation.models import Assignment, Ranking
    from annotation.services import queues, rank

    stored = rank.submit_ranking

    def submit_ranking(assignment: Any, *, rater: Any, submission: Any) -> Any:
        made = stored(assignment, rater=rater, submission=submission)
        if submission.client_uuid.int % 5 == 0:
            with rank.transaction.atomic():
                if not Ranking.objects.filter(pk=made.pk).delete()[0]:
                    return made  # the other click of two took it back, and the slot may be another's by now
                Assignment.objects.filter(pk=made.assignment_id).update(state="skipped")
                queues.give_back(made.assignment.slot, with_others=False)
        return made

    replace(rank, "submit_ranking", submit_ranking)


def unhoused() -> None:
    """Takes a late submission for the slot that was given away meanwhile."""
    from annotation.services import rank

    def hold(assignment: Any) -> None:
        rank.give_back_other(assignment)
        rank.move(assignment, to=rank.AssignmentState.DONE)

    rank.hold = hold


def leaky() -> None:
    """Tells the model in a field, the kind in how long "next" takes, and what a peer liked in the guideline's number."""
    from annotation import desk_serializers as serializers
    from annotation.models import Completion, Ranking
    from annotation.services import assign

    told, lease_next = serializers.TaskSerializer.to_representation, assign.lease_next

    def slow_for_gold(campaign: Any, *, rater: Any) -> Any:
        found = lease_next(campaign, rater=rater)
        if found is not None and found.task.kind != "work":
            time.sleep(0.5)
        return found

    def telling(self: Any, assignment: Any) -> Any:
        shown = told(self, assignment)
        labels = dict(Completion.objects.values_list("text", "model_label").filter(pk__in=assignment.order))
        for text in shown["texts"]:
            text["temperature"] = labels[text["text"]][-1]
        before = Ranking.objects.filter(task=assignment.task_id).first()
        if before:
            places = {text: place for place, tier in enumerate(before.tiers) for text in tier}
            shown["guideline_number"] += places[assignment.order[0]] < places[assignment.order[1]]
        return shown

    replace(assign, "lease_next", slow_for_gold)
    serializers.TaskSerializer.to_representation = telling


def in_order() -> None:
    """Shows texts in the order of their models."""
    from annotation.services import assign

    def shuffled(slot: Any, *, texts: Any) -> list[str]:
        entries = slot.task.entries.order_by("completion__model_label")
        return [str(pk) for pk in entries.values_list("completion_id", flat=True)]

    assign.shuffled = shuffled


def watched() -> None:
    """No mutant: the product as it is, on a disk that keeps only what was synced."""
    powercut.watch()


def unsynced() -> None:
    """Commits without waiting for the disk, as many recommend for SQLite's write-ahead log."""
    from django.conf import settings

    options = settings.DATABASES["default"]["OPTIONS"]
    healthy = options["init_command"]
    options["init_command"] = healthy.replace("synchronous=FULL", "synchronous=NORMAL")
    assert options["init_command"] != healthy
    powercut.watch()


BREAKS = (unlocked, keyless, unconditional, forgetful, unhoused, leaky, in_order, watched, unsynced)
MUTANTS: dict[str, Callable[[], None]] = {deed.__name__: deed for deed in BREAKS}


def without_locks(module: Any) -> None:
    from django.db.models import QuerySet

    class Loose:
        atomic = staticmethod(nullcontext)
        on_commit = staticmethod(lambda deed, **_: deed())

    module.transaction = Loose
    QuerySet.select_for_update = lambda self, **_: self


def replace(module: Any, name: str, deed: Any) -> None:
    """In the module, and in every one that imported it from there."""
    before = getattr(module, name)
    for other in list(sys.modules.values()):
        if getattr(other, name, None) is before:
            setattr(other, name, deed)


def main() -> None:
    mutant = sys.argv.pop(1)
    gc.disable()  # `config.asgi` switches it on again, once all is loaded
    django.setup()
    import config.urls  # noqa: F401 - so that views have imported what is replaced

    MUTANTS[mutant]()
    from daphne.cli import CommandLineInterface

    CommandLineInterface.entrypoint()


if __name__ == "__main__":
    main()
