"""The gate before AI feedback: how it agrees with people where both judged, which of it is learned, and what goes to people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.hints import hint
from accounts.models import User
from annotation.models import AIPreference, Campaign, Ranking, RankingTask, Slot, TaskKind
from annotation.quality.ai_gate import Gate, Overlap, Rule, gate_of
from annotation.quality.judgement import positions
from annotation.services.completions import BATCH, in_batches, slots_of
from annotation.services.queues import begin_anew, queue_of
from audit.services import record


@dataclass(frozen=True, slots=True)
class Sorted:
    """Tasks that a feedback model ranked: those whose every judgement counts, and those that people have to rank."""

    counted: list[UUID]
    for_people: list[UUID]


def live_preferences(campaign: Campaign, *, rater: User | None = None) -> QuerySet[AIPreference]:
    """Of all feedback models, or of one."""
    found = AIPreference.objects.filter(
        ranking__is_live=True, ranking__task__campaign=campaign, ranking__task__kind=TaskKind.WORK
    )
    return found if rater is None else found.filter(ranking__rater=rater)


def gate_for(campaign: Campaign, *, rater: User, rule: Rule | None = None) -> Gate:
    """What people's rankings of the same tasks say of a feedback model. People don't see what it said, nor that it did."""
    return gate_of(overlaps_of(campaign, rater=rater), rule=rule or Rule())


def overlaps_of(campaign: Campaign, *, rater: User) -> Iterator[Overlap]:
    """Ties of people, texts that they left out, and what the feedback model abstained from give none.

    The text of the smaller id is the first one: ids are random, so that neither side is the better one oftener.
    """
    told = live_preferences(campaign, rater=rater).filter(is_abstained=False)
    pairs: defaultdict[UUID, list[tuple[str, str, str, str]]] = defaultdict(list)
    for task, kind, first, second, principle, p in told.values_list(
        "ranking__task", "ranking__task__prompt__kind", "first", "second", "principle", "p"
    ):
        if p > 0.5:
            pairs[task].append((kind, str(first), str(second), principle))
        elif p < 0.5:
            pairs[task].append((kind, str(second), str(first), principle))
    for some in in_batches(sorted(pairs), BATCH):
        people = Ranking.objects.filter(task__in=some, is_live=True, cannot_rank="").order_by(
            "task", "created_at", "pk"
        )
        for ranking in people:
            at = positions(ranking.shown_tiers)
            for kind, better, worse, principle in pairs[ranking.task_id]:
                if better in at and worse in at and at[better] != at[worse]:
                    ai_first = better < worse
                    yield Overlap(str(ranking.task_id), kind, principle, ai_first, ai_first == (at[better] < at[worse]))


def sort_by(gate: Gate, campaign: Campaign, *, rater: User) -> Sorted:
    """A task counts if the gate lets through the principle and the kind of each of its pairs, and of none it abstained."""
    is_counted: dict[UUID, bool] = {}
    told = live_preferences(campaign, rater=rater).values_list(
        "ranking__task", "ranking__task__prompt__kind", "principle", "is_abstained"
    )
    for task, kind, principle, is_abstained in told:
        through = not is_abstained and gate.counts(principle=principle, kind=kind)
        is_counted[task] = is_counted.get(task, True) and through
    return Sorted(*(sorted(task for task, found in is_counted.items() if found is side) for side in (True, False)))


def send_to_people(campaign: Campaign, tasks: list[UUID], *, user: User | None) -> int:
    """Gives slots to those of the tasks that have none, so that people are given them; says to how many."""
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        has_slots = Exists(Slot.objects.filter(task=OuterRef("pk")))
        waiting = RankingTask.objects.filter(~has_slots, campaign=campaign, kind=TaskKind.WORK, pk__in=tasks)
        used = set()
        sent = list(waiting.select_related("prompt").order_by("created_at", "pk"))
        for task in sent:
            queue = queue_of(campaign, language=task.prompt.language, skill=task.prompt.skill)
            Slot.objects.bulk_create(slots_of(task, queue=queue, count=campaign.overlap))
            used.add(queue)
        begin_anew(used)
        if sent:
            record("campaign.sent_to_people", actor=user, target=campaign, num_tasks=len(sent))
            hint(f"campaign:{campaign.pk}")
    return len(sent)
