"""A campaign made like another: its settings and guideline, and where wanted its prompts and completions; never a ranking."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from accounts.models import User
from annotation.models import (
    Campaign,
    Completion,
    Guideline,
    Prompt,
    Queue,
    RankingTask,
    Slot,
    TaskCompletion,
    TaskKind,
)
from annotation.services.campaigns import checked_name
from annotation.services.completions import MERGED, entries_of, in_batches, slots_of
from annotation.services.queues import begin_anew, queue_of
from audit.services import record

ITS_OWN = {"id", "name", "slug", "state", "created_by", "created_at"}
BATCH = 200  # prompts


def clone_campaign(
    campaign: Campaign, *, name: str, user: User | None, with_prompts: bool = False, with_completions: bool = False
) -> Campaign:
    """A draft. Completions come with their prompts and in the same tasks, every place of which is free again.

    Better versions stay behind: they are part of rankings; and so do gold, repeats and tests, which are laid out for one
    rater. Raises `BadCampaign`, `NameTaken`.
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
            asked = campaign.prompts.filter(is_check=False).order_by("created_at", "pk")  # its checks are its own
            for prompts in in_batches(asked.iterator(chunk_size=BATCH), BATCH):
                copy_prompts(prompts, into=made, with_completions=with_completions)
        record(
            "campaign.cloned", actor=user, target=made, of=campaign.slug, name=name, with_prompts=with_prompts,
            with_completions=with_completions,
        )  # fmt: skip
    return made


def copy_prompts(prompts: list[Prompt], *, into: Campaign, with_completions: bool) -> None:
    ids = {prompt.pk: uuid.uuid4() for prompt in prompts}
    Prompt.objects.bulk_create(copies(prompts, ids=ids, campaign_id=into.pk))
    if not with_completions:
        return
    written = Completion.objects.filter(prompt__in=ids, parent=None).order_by("created_at", "pk")
    new = {completion.pk: uuid.uuid4() for completion in written}
    made = {copy.pk: copy for copy in copies(written, ids=new)}
    for copy in made.values():
        copy.prompt_id = ids[copy.prompt_id]
        if MERGED in copy.sampling:
            copy.sampling = copy.sampling | {MERGED: str(new.get(uuid.UUID(copy.sampling[MERGED]), ""))}
    Completion.objects.bulk_create(made.values())
    copy_tasks(ids=ids, completions={old: made[pk] for old, pk in new.items()}, into=into)


def copy_tasks(*, ids: dict[Any, uuid.UUID], completions: dict[Any, Completion], into: Campaign) -> None:
    work = (
        RankingTask.objects.filter(prompt__in=ids, kind=TaskKind.WORK)
        .select_related("prompt")
        .prefetch_related("entries")
    )
    tasks, entries, slots = [], [], []
    queues: dict[tuple[str, str], Queue] = {}
    for task in work.order_by("created_at", "pk"):
        made = RankingTask(campaign=into, prompt_id=ids[task.prompt_id], priority=task.priority)
        tasks.append(made)
        entries += entries_of(made, [completions[entry.completion_id] for entry in task.entries.all()])
        needs = task.prompt.language, task.prompt.skill
        if needs not in queues:
            queues[needs] = queue_of(into, language=needs[0], skill=needs[1])
        slots += slots_of(made, queue=queues[needs], count=into.overlap)
    RankingTask.objects.bulk_create(tasks)
    TaskCompletion.objects.bulk_create(entries)
    Slot.objects.bulk_create(slots)
    begin_anew(queues.values())


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
