"""The gate before AI feedback: how it agrees with people where both judged, which of it is learned, and what goes to people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When

from accounts.hints import hint
from accounts.models import User
from annotation.models import AIPreference, Campaign, Queue, Ranking, RankingTask, Slot, TaskKind
from annotation.quality.ai_gate import Gate, Overlap, Rule, gate_of
from annotation.quality.judgement import positions
from annotation.services.completions import BATCH, in_batches, slots_of
from annotation.services.queues import begin_anew, queue_of
from audit.services import record

KIND = "ranking__task__prompt__kind"


@dataclass(frozen=True, slots=True)
class Sorted:
    """Tasks that a feedback model ranked: those whose every judgement counts, and those that people have to rank."""

    counted: list[UUID]
    for_people: list[UUID]


def ai_raters(campaign: Campaign) -> QuerySet[User]:
    """The feedback models that have judged it."""
    ranked = Ranking.with_ai.filter(
        rater=OuterRef("pk"), is_ai=True, is_live=True, task__campaign=campaign, task__kind=TaskKind.WORK
    )
    return User.objects.filter(Exists(ranked), is_ai=True).order_by("username")


def live_preferences(campaign: Campaign, *, rater: User | None = None) -> QuerySet[AIPreference]:
    """Of all feedback models, or of one."""
    found = AIPreference.objects.filter(
        ranking__is_live=True, ranking__task__campaign=campaign, ranking__task__kind=TaskKind.WORK
    )
    return found if rater is None else found.filter(ranking__rater=rater)


def gate_for(campaign: Campaign, *, rater: User) -> Gate:
    """What people's rankings of the same tasks say of a feedback model. People don't see what it said, nor that it did."""
    return gate_of(overlaps_of(campaign, rater=rater), rule=Rule(**campaign.ai_rule))


def overlaps_of(campaign: Campaign, *, rater: User) -> Iterator[Overlap]:
    """Ties of people, texts that they left out, and what the feedback model abstained from give none.

    The text of the smaller id is the first one: ids are random, so that neither side is the better one oftener.
    """
    ranked = Ranking.objects.filter(task=OuterRef("ranking__task"), is_live=True, cannot_rank="")
    told = live_preferences(campaign, rater=rater).filter(Exists(ranked), is_abstained=False)
    pairs: defaultdict[UUID, list[tuple[str, str, str, str]]] = defaultdict(list)
    columns = ("ranking__task", KIND, "first", "second", "principle", "p")
    for task, kind, first, second, principle, p in told.order_by().values_list(*columns).iterator():
        if p > 0.5:
            pairs[task].append((kind, str(first), str(second), principle))
        elif p < 0.5:
            pairs[task].append((kind, str(second), str(first), principle))
    for some in in_batches(sorted(pairs), BATCH):
        people = Ranking.objects.filter(task__in=some, is_live=True, cannot_rank="").only("task", "tiers", "edit")
        for ranking in people.order_by("task", "created_at", "pk"):
            at = positions(ranking.shown_tiers)
            for kind, better, worse, principle in pairs[ranking.task_id]:
                if better in at and worse in at and at[better] != at[worse]:
                    ai_first = better < worse
                    yield Overlap(str(ranking.task_id), kind, principle, ai_first, ai_first == (at[better] < at[worse]))


def rankings_of(campaign: Campaign, *, rater: User) -> QuerySet[Ranking]:
    return Ranking.with_ai.filter(
        rater=rater, is_ai=True, is_live=True, task__campaign=campaign, task__kind=TaskKind.WORK
    ).order_by()


def is_held_back(gate: Gate, campaign: Campaign, *, rater: User) -> Q:
    """Of `rankings_of`: those with a pair that it abstained from, or whose principle or kind the gate does not let through.

    Asked of the database by the names of principles and kinds, which are few, so that no query carries ids of tasks.
    """
    names = list(live_preferences(campaign, rater=rater).order_by().values_list("principle", KIND).distinct())
    principles = {name for name, _ in names if not gate.lets_through(gate.by_principle.get(name))}
    kinds = {name for _, name in names if not gate.lets_through(gate.by_kind.get(name))}
    held = AIPreference.objects.filter(Q(is_abstained=True) | Q(principle__in=principles), ranking=OuterRef("pk"))
    return Q(Exists(held)) | Q(task__prompt__kind__in=kinds)


def sort_by(gate: Gate, campaign: Campaign, *, rater: User) -> Sorted:
    """A task counts if the gate lets through the principle and the kind of each of its pairs, and of none it abstained."""
    held = is_held_back(gate, campaign, rater=rater)
    told = rankings_of(campaign, rater=rater).annotate(is_held=Case(When(held, then=True), default=False))
    sides: dict[bool, list[UUID]] = {True: [], False: []}
    for task, held_back in told.order_by("task").values_list("task", "is_held"):
        sides[bool(held_back)].append(task)
    return Sorted(counted=sides[False], for_people=sides[True])


def send_to_people(campaign: Campaign, tasks: Iterable[UUID], *, user: User | None) -> int:
    """Gives slots to those of the tasks that have none, so that people are given them; says to how many."""
    num = 0
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        queues: dict[tuple[str, str], Queue] = {}
        for some in in_batches(tasks, BATCH):
            sent = list(waiting(campaign).filter(pk__in=some).select_related("prompt"))
            for needs in {(task.prompt.language, task.prompt.skill) for task in sent} - set(queues):
                queues[needs] = queue_of(campaign, language=needs[0], skill=needs[1])
            Slot.objects.bulk_create(
                slot
                for task in sent
                for slot in slots_of(
                    task, queue=queues[task.prompt.language, task.prompt.skill], count=campaign.overlap
                )
            )
            num += len(sent)
        if num:
            begin_anew(set(queues.values()))
            record("campaign.sent_to_people", actor=user, target=campaign, num_tasks=num)
            hint(f"campaign:{campaign.pk}")
    return num


def waiting(campaign: Campaign) -> QuerySet[RankingTask]:
    """Tasks of work that nobody is given."""
    has_slots = Exists(Slot.objects.filter(task=OuterRef("pk")))
    return RankingTask.objects.filter(~has_slots, campaign=campaign, kind=TaskKind.WORK)
