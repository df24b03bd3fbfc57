"""Completions: asked of a model, taken in once its run is done, and put together into tasks with slots."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext

from accounts.errors import Conflict, UserError
from accounts.hints import hint
from accounts.models import User
from annotation.models import Campaign, Completion, Prompt, Queue, RankingTask, Slot, Split, TaskCompletion
from annotation.services.queues import begin_anew, queue_of
from registry.models import DatasetKind, DatasetVersion, ModelRole, ModelVersion
from registry.services.datasets import freeze_dataset, read_rows
from runs.models import Priority, Run, RunState
from runs.services.start import check_recipe, start_run

SHUFFLE_BITS = 40  # of an order key, below its priority
BATCH = 500
SAMPLING = ("index", "seed", "temperature", "top_p", "num_tokens", "ended", "logprob")
MERGED = "merged_into"  # in `sampling`: the completion of the same text that is shown in its place

T = TypeVar("T")


class NoPrompts(Conflict):
    code = "no_prompts"


class UnderWay(Conflict):
    code = "completions_under_way"


class NoModel(UserError):
    code = "no_model"


class BetterVersion(UserError):
    code = "better_version"


def request_completions(
    campaign: Campaign,
    *,
    model: ModelVersion | None,
    user: User | None,
    recipe: dict[str, Any] | None = None,
    after: Run | None = None,
    priority: int = Priority.PEOPLE_WAIT,
) -> Run:
    """Starts `generate` on the prompts that this model has not answered yet; when it is done they become tasks.

    The model may be the output of a run that isn't done: give that as `after`, and no `model`. A recipe's own `k`,
    smaller than the campaign's, lets a task mix the completions of several models.
    Raises `NoModel`, `NoPrompts`, `UnderWay`, and what `start_run` does.
    """
    if model is None and after is None:
        raise NoModel(gettext("Choose the model that should write the completions."))
    if model is not None and model.role == ModelRole.REWARD:
        raise NoModel(gettext("%(name)s is a reward model: it writes nothing.") % {"name": model.name})
    if model is not None and model.role == ModelRole.MASKED:
        raise NoModel(gettext("%(name)s is a masked language model: it writes nothing.") % {"name": model.name})
    if model is not None and model.role == ModelRole.TASK:
        raise NoModel(gettext("%(name)s is a task model: it writes nothing.") % {"name": model.name})
    fields = {"k": campaign.k, **(recipe or {})}
    check_recipe("generate", fields)  # before a dataset is written for it
    source = model.artifact if model is not None else after
    assert source is not None
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # one request at a time
        same = {"inputs__after": source} if isinstance(source, Run) else {"inputs__artifact": source}
        refuse_under_way(campaign, method="generate", **same)
        prompts = freeze_waiting(campaign, unanswered(campaign, model=model), user=user)
        return start_run(
            "generate", recipe=fields, inputs={"model": source, "prompts": prompts.artifact}, user=user,
            title=f"Completions for {campaign.name}", priority=priority, context={"campaign": str(campaign.pk)},
        )  # fmt: skip


def request_answers(
    campaign: Campaign, *, user: User | None, recipe: dict[str, Any], priority: int = Priority.PEOPLE_WAIT
) -> Run:
    """Starts `ask`, which asks the recipe's endpoint, on the prompts that nobody has answered yet.

    Raises `NoPrompts`, `UnderWay`, and what `start_run` does.
    """
    fields = {"k": campaign.k, **recipe}
    check_recipe("ask", fields)
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        refuse_under_way(campaign, method="ask")
        prompts = freeze_waiting(campaign, unanswered(campaign, model=None), user=user)
        return start_run(
            "ask", recipe=fields, inputs={"prompts": prompts.artifact}, user=user,
            title=f"Completions for {campaign.name}", priority=priority, context={"campaign": str(campaign.pk)},
        )  # fmt: skip


def freeze_waiting(campaign: Campaign, waiting: QuerySet[Prompt], *, user: User | None) -> DatasetVersion:
    if not waiting.exists():
        raise NoPrompts(
            gettext("Every prompt has completions of this model.")
            if campaign.prompts.exists()
            else gettext("Add prompts first.")
        )
    return freeze_dataset(
        f"{campaign.slug[:80]}-prompts-{uuid.uuid4().hex[:8]}",
        kind=DatasetKind.PROMPTS,
        splits=by_split(waiting),
        user=user,
        query={"campaign": campaign.slug, "campaign_name": campaign.name},
        card=f"Prompts of the campaign \u201c{campaign.name}\u201d that were sent to a model.",
    )


def refuse_under_way(campaign: Campaign, *, method: str, **same: Any) -> None:
    running = Run.objects.filter(
        method=method, context__campaign=str(campaign.pk), state__in=[RunState.QUEUED, RunState.RUNNING]
    )
    if running.filter(**same).exists():
        raise UnderWay(
            gettext("This model is writing completions for this campaign now. Wait for that run, or cancel it.")
        )


def unanswered(campaign: Campaign, *, model: ModelVersion | None) -> QuerySet[Prompt]:
    answers = Completion.objects.filter(prompt=OuterRef("pk"))
    if model is not None:
        answers = answers.filter(model=model)
    return Prompt.objects.filter(~Exists(answers), campaign=campaign, is_check=False).order_by("created_at", "pk")


def by_split(prompts: QuerySet[Prompt]) -> dict[str, Iterable[dict[str, Any]]]:
    def rows(split: str) -> Iterator[dict[str, Any]]:
        for prompt in prompts.filter(split=split).iterator(chunk_size=BATCH):
            yield {"id": str(prompt.pk), "messages": prompt.messages}

    return {split: rows(split) for split in ("train", "test")}


def ingest(campaign: Campaign, *, dataset: DatasetVersion, model: ModelVersion | None) -> int:
    """Takes in the completions of a finished run and makes tasks of them, within the caller's transaction; says how many tasks.

    Rows of prompts that are not the campaign's are left out; a run that is published twice adds nothing the second time.
    """
    mine = {str(pk): pk for pk in campaign.prompts.values_list("pk", flat=True)}
    add_completions(dataset=dataset, model=model, prompts=mine)
    made = make_tasks(campaign)
    hint(f"campaign:{campaign.pk}")
    return made


def add_completions(
    *, dataset: DatasetVersion, model: ModelVersion | None, prompts: Mapping[str, uuid.UUID], most: int | None = None
) -> None:
    """Of the rows those that answer `prompts`, by the id that each has in the dataset; of each prompt the first `most`.

    They stand in no task yet: `make_tasks`.
    """
    for rows in in_batches(read_rows(dataset, split="train"), BATCH):
        Completion.objects.bulk_create(
            [
                Completion(
                    id=uuid.UUID(row["id"]), prompt_id=prompts[row["prompt_id"]], text=row["text"].replace("\x00", ""),
                    model=model, dataset=dataset,
                    sampling={name: row[name] for name in SAMPLING},
                )
                for row in rows
                if row["prompt_id"] in prompts and (most is None or row["index"] < most)
            ],
            ignore_conflicts=True,
        )  # fmt: skip


def make_tasks(campaign: Campaign) -> int:
    """Makes tasks of the completions that stand in none, K of a prompt at a time; what is left over waits for more.

    Completions of the same text are merged into the first of them: a task shows a text once, so it may have fewer than
    K. Where all K are the same there is nothing to rank, and no task.
    """
    waiting: defaultdict[uuid.UUID, list[Completion]] = defaultdict(list)
    written = Completion.objects.filter(
        prompt__campaign=campaign, parent__isnull=True
    )  # a better version is its rater's
    loose = written.filter(tasks__isnull=True).exclude(sampling__has_key=MERGED)
    for completion in loose.order_by("created_at", "pk").iterator(chunk_size=BATCH):
        waiting[completion.prompt_id].append(completion)
    ready: list[tuple[uuid.UUID, list[Completion]]] = []
    for prompt, found in waiting.items():
        for group in in_batches(sorted(found, key=place), campaign.k):
            if len(group) == campaign.k and len(different := merged(group)) > 1:
                ready.append((prompt, different))
    used: set[Queue] = set()
    for some in in_batches(ready, BATCH):
        used |= save_tasks(campaign, some)
    begin_anew(used)
    return len(ready)


def place(completion: Completion) -> tuple[Any, ...]:
    return completion.created_at, completion.sampling.get("index", 0), str(completion.pk)


def merged(completions: list[Completion]) -> list[Completion]:
    """The first completion of each text, blanks at its ends aside; the others are marked as merged into it."""
    first: dict[str, Completion] = {}
    for completion in completions:
        kept = first.setdefault(completion.text.strip(), completion)
        if kept is not completion:
            completion.sampling[MERGED] = str(kept.pk)
            completion.save(update_fields=["sampling"])
    return list(first.values())


def save_tasks(
    campaign: Campaign,
    groups: Iterable[tuple[uuid.UUID, list[Completion]]],
    *,
    priority: int | None = None,
    all_to_people: bool = False,
) -> set[Queue]:
    """Returns the queues that their slots stand in, which the caller lets begin anew; `priority` goes before the prompts' own.

    Tasks that are not for people have no slots; `services.ai_gate.send_to_people` gives them some.
    """
    given = list(groups)
    prompts = Prompt.objects.in_bulk([prompt for prompt, _ in given])
    tasks = [
        (
            RankingTask(
                campaign=campaign,
                prompt=prompts[prompt],
                priority=prompts[prompt].priority if priority is None else priority,
            ),
            group,
        )
        for prompt, group in given
    ]
    RankingTask.objects.bulk_create([task for task, _ in tasks])
    TaskCompletion.objects.bulk_create([entry for task, group in tasks for entry in entries_of(task, group)])
    queues = {
        needs: queue_of(campaign, language=needs[0], skill=needs[1])
        for needs in sorted({(prompt.language, prompt.skill) for prompt in prompts.values()})
    }
    Slot.objects.bulk_create(
        slot
        for task, _ in tasks
        for queue in [queues[task.prompt.language, task.prompt.skill]]
        for slot in slots_of(task, queue=queue, count=campaign.overlap if all_to_people or is_for_people(task) else 0)
    )
    return set(queues.values())


def entries_of(task: RankingTask, completions: Iterable[Completion]) -> list[TaskCompletion]:
    """The texts of a task, in their places. Raises `BetterVersion`: one is its rater's own, and nobody else is shown it."""
    texts = list(completions)
    if any(completion.parent_id for completion in texts):
        raise BetterVersion(gettext("A rater's better version of a text can't be a text of a task."))
    return [TaskCompletion(task=task, completion=one, index=index) for index, one in enumerate(texts)]


def is_for_people(task: RankingTask) -> bool:
    """Whether people rank it, whatever a feedback model says: all held-out prompts, and a share of the others by lot."""
    if task.prompt.split == Split.TEST:
        return True
    lot = hashlib.sha256(f"people {task.campaign_id} {task.prompt.content_hash}".encode()).digest()
    return int.from_bytes(lot[:4], "big") * 100 < task.campaign.people_share * 2**32


def slots_of(task: RankingTask, *, queue: Queue | None, count: int) -> list[Slot]:
    return [
        Slot(task=task, campaign_id=task.campaign_id, queue=queue, number=number, order_key=order_key(task, number))
        for number in range(count)
    ]


def order_key(task: RankingTask, number: int) -> int:
    """Priority first; within it a shuffle that is stored, so that neither prompts nor models come in groups."""
    lot = hashlib.sha256(f"{task.pk} {number}".encode()).digest()
    return (task.priority << SHUFFLE_BITS) + int.from_bytes(lot[: SHUFFLE_BITS // 8], "big")


def batched(things: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """`itertools.batched`, which Python 3.11 does not have yet."""
    left = iter(things)
    while batch := tuple(islice(left, size)):
        yield batch


def in_batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(things)
    while some := list(islice(rest, size)):
        yield some
