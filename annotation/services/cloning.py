"""A campaign made like another: settings, plan and guideline; where wanted prompts, completions and gold; never a ranking."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from annotation.models import (
    Campaign,
    Completion,
    GoldAnswer,
    Guideline,
    Prompt,
    Queue,
    RankingTask,
    Slot,
    TaskCompletion,
    TaskKind,
    plan_of,
)
from annotation.models.quality import FEWEST_TESTS, as_facts
from annotation.services.campaigns import checked_name
from annotation.services.completions import MERGED, entries_of, in_batches, slots_of
from annotation.services.quality_plan import set_plan
from annotation.services.queues import begin_anew, queue_of
from audit.services import record

ITS_OWN = {"id", "name", "slug", "state", "created_by", "created_at"}
BATCH = 200  # prompts


def clone_campaign(
    campaign: Campaign, *, name: str, user: User | None, with_prompts: bool = False, with_completions: bool = False
) -> Campaign:
    """A draft, with the quality plan. Completions come with their prompts and in the same tasks, every place of which is free.

    Gold and test tasks come with their prompts; those that were made of work, with its completions. Better versions stay
    behind: they are part of rankings; and so do repeats and retired gold. Raises `BadCampaign`, `NameTaken`.
    """
    name, slug = checked_name(name)
    with transaction.atomic():
        settings = {
            field.attname: getattr(campaign, field.attname)
            for field in Campaign._meta.concrete_fields
            if field.name not in ITS_OWN
        }
        made = Campaign.objects.create(name=name, slug=slug, created_by=user, **settings)
        last = campaign.guidelines.first()
        Guideline.objects.create(
            campaign=made,
            number=1,
            text=last.text if last else "",
            examples=last.examples if last else [],
            created_by=user,
        )
        if with_prompts or with_completions:
            asked = campaign.prompts.filter(Q(is_check=False) | Exists(golds().filter(task__prompt=OuterRef("pk"))))
            for prompts in in_batches(asked.order_by("created_at", "pk").iterator(chunk_size=BATCH), BATCH):
                copy_prompts(prompts, into=made, with_completions=with_completions)
        copy_plan(campaign, into=made, user=user)
        record(
            "campaign.cloned", actor=user, target=made, of=campaign.slug, name=name, with_prompts=with_prompts,
            with_completions=with_completions, num_gold=GoldAnswer.objects.filter(task__campaign=made).count(),
        )  # fmt: skip
    return made


def golds() -> QuerySet[GoldAnswer]:
    return GoldAnswer.objects.filter(retired_at=None)


def copy_plan(campaign: Campaign, *, into: Campaign, user: User | None) -> None:
    """A test has as many tasks as came along, or there is none yet: the plan can't ask for more than there are."""
    if (plan := plan_of(campaign)) is None:
        return
    tests = GoldAnswer.objects.filter(task__campaign=into, task__kind=TaskKind.TEST).count()
    num_tests = min(plan.num_tests, tests) if tests >= FEWEST_TESTS else 0
    set_plan(into, user=user, **as_facts(plan) | {"num_tests": num_tests})


def copy_prompts(prompts: list[Prompt], *, into: Campaign, with_completions: bool) -> None:
    ids = {prompt.pk: uuid.uuid4() for prompt in prompts}
    Prompt.objects.bulk_create(copies(prompts, ids=ids, campaign_id=into.pk))
    gold = golds().filter(task__prompt__in=ids)
    shown = Q(tasks__gold__in=gold if with_completions else gold.filter(source=None))
    if with_completions:
        shown |= Q(tasks=None) | Q(tasks__kind=TaskKind.WORK)
    written = Completion.objects.filter(shown, prompt__in=ids, parent=None).distinct().order_by("created_at", "pk")
    new = {completion.pk: uuid.uuid4() for completion in written}
    made = {copy.pk: copy for copy in copies(written, ids=new)}
    for copy in made.values():
        copy.prompt_id = ids[copy.prompt_id]
        if MERGED in copy.sampling:
            copy.sampling = copy.sampling | {MERGED: str(new.get(uuid.UUID(copy.sampling[MERGED]), ""))}
    Completion.objects.bulk_create(made.values())
    completions = {old: made[pk] for old, pk in new.items()}
    tasks = copy_work(ids=ids, completions=completions, into=into) if with_completions else {}
    copy_gold(
        gold if with_completions else gold.filter(source=None), ids=ids, completions=completions, tasks=tasks, into=into
    )


def copy_work(
    *, ids: dict[Any, uuid.UUID], completions: dict[Any, Completion], into: Campaign
) -> dict[Any, RankingTask]:
    """The copies by the ids of what they were made of."""
    work = (
        RankingTask.objects.filter(prompt__in=ids, kind=TaskKind.WORK)
        .select_related("prompt")
        .prefetch_related("entries")
    )
    tasks, entries, slots = {}, [], []
    queues: dict[tuple[str, str], Queue] = {}
    for task in work.order_by("created_at", "pk"):
        made = RankingTask(campaign=into, prompt_id=ids[task.prompt_id], priority=task.priority)
        tasks[task.pk] = made
        entries += entries_of(made, [completions[entry.completion_id] for entry in task.entries.all()])
        needs = task.prompt.language, task.prompt.skill
        if needs not in queues:
            queues[needs] = queue_of(into, language=needs[0], skill=needs[1])
        slots += slots_of(made, queue=queues[needs], count=into.overlap)
    RankingTask.objects.bulk_create(tasks.values())
    TaskCompletion.objects.bulk_create(entries)
    Slot.objects.bulk_create(slots)
    begin_anew(queues.values())
    return tasks


def copy_gold(
    gold: QuerySet[GoldAnswer],
    *,
    ids: dict[Any, uuid.UUID],
    completions: dict[Any, Completion],
    tasks: dict[Any, RankingTask],
    into: Campaign,
) -> None:
    """Whoever made a gold has seen its order, so its copy is not given to her either."""
    for one in gold.select_related("task").prefetch_related("task__entries").order_by("created_at", "pk"):
        made = RankingTask.objects.create(campaign=into, prompt_id=ids[one.task.prompt_id], kind=one.task.kind)
        texts = [completions[entry.completion_id] for entry in one.task.entries.all()]
        TaskCompletion.objects.bulk_create(entries_of(made, texts))
        GoldAnswer.objects.create(
            task=made, tiers=[sorted(str(completions[uuid.UUID(name)].pk) for name in tier) for tier in one.tiers],
            explanation=one.explanation, source=tasks.get(one.source_id), made_by_id=one.made_by_id,
        )  # fmt: skip


def copies(rows: Iterable[Any], *, ids: dict[Any, uuid.UUID], **changed: Any) -> list[Any]:
    """The same rows under new ids; whatever columns they have."""
    return [
        type(row)(
            **{
                field.attname: getattr(row, field.attname)
                for field in row._meta.concrete_fields
                if field.name not in ("id", "created_at")
            }
            | {"pk": ids[row.pk]}
            | changed
        )
        for row in rows
    ]
