"""What of a file is new to a campaign, some rows at a time: counted by a dry run, written by an import, by the same code."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from typing import Any

from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from accounts.models import Role, User
from annotation.attributes import attributes_of
from annotation.importing.checking import UNNAMED, Row
from annotation.importing.complaints import Complaints
from annotation.importing.found import Counts, Here, New
from annotation.models import (
    Assignment,
    AssignmentState,
    Campaign,
    Completion,
    Membership,
    Prompt,
    Queue,
    Ranking,
    RankingTask,
    Slot,
)
from annotation.services.completions import entries_of, slots_of
from annotation.services.prompts import USUAL_PRIORITY
from annotation.services.queues import queue_of
from annotation.services.rank import drawn_up
from annotation.services.saying import Said, body_of
from annotation.services.texts import BadLine
from registry.services.schemas import canonical, conversation_sha256, split_of

BATCH = 200  # rows whose companions in the database are asked for at once


class Taking:
    """One reading of a file into a campaign. What it has met is remembered by hashes: bytes a row, whatever the texts.

    Ids follow from content, so that the same file once more finds what it made. Completions of the same text are kept as
    they were ranked; a snapshot makes no comparison of two such.
    """

    def __init__(self, campaign: Campaign, *, is_simulated: bool, is_dry: bool) -> None:
        """Of a `campaign` that is not saved nothing is known yet. A dry run makes no raters either."""
        self.campaign = campaign
        self.attributes = attributes_of(campaign.attributes)
        self.is_simulated, self.is_dry = is_simulated, is_dry
        self.counts = Counts()
        self.prompts: dict[str, uuid.UUID] = {}
        self.tasks: set[uuid.UUID] = set()
        self.loose: set[uuid.UUID] = set()
        self.bodies: dict[uuid.UUID, bytes] = {}  # by ranking
        self.unnamed: defaultdict[uuid.UUID, list[bytes]] = defaultdict(list)  # by task: what its unnamed raters say
        self.free: dict[uuid.UUID, int] = {}  # places that are left, by task
        self.raters: dict[str, User] = {}
        self.queues: dict[tuple[str, str], Queue] = {}  # by language and skill
        self.labels: set[str] = set()

    def take(self, rows: list[Row], *, complaints: Complaints) -> New:
        """What `rows` add. A ranking that contradicts one of the same rater is a complaint about its line."""
        here = self.look_up(rows)
        new = New()
        for row in rows:
            prompt = self.prompt_of(row, here=here, new=new)
            if not row.is_task:
                self.take_loose(row, prompt=prompt, here=here, new=new)
                continue
            task, slots = self.task_of(row, prompt=prompt, here=here, new=new)
            for said in row.judgements:
                try:
                    self.take_ranking(said, row=row, task=task, slots=slots, here=here, new=new)
                except BadLine as error:
                    complaints.add(row.number, error)
        self.counts.raters = len(self.labels)
        return new

    def look_up(self, rows: list[Row]) -> Here:
        if self.campaign.pk is None:
            return Here()
        here = Here()
        prompts = Prompt.objects.filter(campaign=self.campaign, content_hash__in={sha256_of(row) for row in rows})
        here.prompts = dict(prompts.values_list("content_hash", "pk"))
        here.tasks = RankingTask.objects.in_bulk([self.task_id(row) for row in rows if row.is_task])
        for slot in Slot.objects.filter(task__in=here.tasks, reserved_for=None).order_by("task", "number"):
            here.slots.setdefault(slot.task_id, []).append(slot)
        rankings = Ranking.objects.filter(task__in=here.tasks).select_related("edit")
        here.rankings = {ranking.client_uuid: digest(ranking.body) for ranking in rankings}
        loose = [self.loose_id(row) for row in rows if not row.is_task and row.completions]
        here.loose = set(Completion.objects.filter(pk__in=loose).values_list("pk", flat=True))
        return here

    # Ids that follow from content

    def task_id(self, row: Row) -> uuid.UUID:
        content = [self.campaign.pk or 0, sha256_of(row), sorted(row.completions)]
        return uuid.uuid5(uuid.NAMESPACE_OID, canonical(content).decode())

    def loose_id(self, row: Row) -> uuid.UUID:
        content = [self.campaign.pk or 0, sha256_of(row), *row.completions[0][1:]]
        return uuid.uuid5(uuid.NAMESPACE_OID, canonical(content).decode())

    # One row

    def prompt_of(self, row: Row, *, here: Here, new: New) -> uuid.UUID:
        sha256 = sha256_of(row)
        known = self.prompts.get(sha256) or here.prompts.get(sha256)
        if known is not None:
            self.prompts[sha256] = known
            self.counts.known_prompts += 1
            return known
        made = Prompt(
            campaign=self.campaign,
            content_hash=sha256,
            messages=row.messages,
            **{"split": split_of(sha256), **row.fields},
        )
        new.prompts.append(made)
        self.prompts[sha256] = made.pk
        self.counts.prompts += 1
        return made.pk

    def take_loose(self, row: Row, *, prompt: uuid.UUID, here: Here, new: New) -> None:
        """One completion alone: it waits until K of its prompt are there."""
        for _, text, model in row.completions:
            key = self.loose_id(row)
            if key in self.loose or key in here.loose:
                self.counts.known_completions += 1
                continue
            self.loose.add(key)
            new.completions.append(Completion(pk=key, prompt_id=prompt, text=text, model_label=model))
            self.counts.completions += 1

    def task_of(self, row: Row, *, prompt: uuid.UUID, here: Here, new: New) -> tuple[RankingTask, list[Slot]]:
        """The task, and those of its places that are free."""
        key = self.task_id(row)
        task = here.tasks.get(key)
        if task is not None or key in self.tasks:
            self.counts.known_tasks += 1
            self.counts.known_completions += len(row.completions)
            task = task or RankingTask(pk=key, campaign=self.campaign, prompt_id=prompt)
            slots = [slot for slot in here.slots.get(key, []) if slot.is_free]
            self.free.setdefault(key, len(slots))
            return task, slots
        self.tasks.add(key)
        task = RankingTask(
            pk=key, campaign=self.campaign, prompt_id=prompt, priority=row.fields.get("priority", USUAL_PRIORITY)
        )
        slots = slots_of(task, queue=self.queue_of(row), count=self.campaign.overlap)
        here.tasks[key], here.slots[key] = task, slots
        self.free[key] = len(slots)
        new.tasks.append(task)
        new.slots += slots
        texts = [
            Completion(pk=completion_id(key, name), prompt_id=prompt, text=text, model_label=model, external_id=name)
            for name, text, model in row.completions
        ]
        new.completions += texts
        new.entries += entries_of(task, texts)
        self.counts.tasks += 1
        self.counts.completions += len(row.completions)
        return task, list(slots)

    def queue_of(self, row: Row) -> Queue | None:
        """Where the slots of its task stand. A dry run has none, and makes none."""
        if self.is_dry:
            return None
        needs = row.fields.get("language", ""), row.fields.get("skill", "")
        if needs not in self.queues:
            self.queues[needs] = queue_of(self.campaign, language=needs[0], skill=needs[1])
        return self.queues[needs]

    def take_ranking(self, said: Said, *, row: Row, task: RankingTask, slots: list[Slot], here: Here, new: New) -> None:
        """Raises `BadLine` where the same rater has said otherwise."""
        ids = {name: str(completion_id(task.pk, name)) for name, _, _ in row.completions}
        texts = {ids[name]: text for name, text, _ in row.completions}
        body = body_of(said.submission, names=ids, attributes=self.attributes, texts=texts)
        says = digest(body)
        label = self.label_of(said, says=says, task=task)
        key = uuid.uuid5(task.pk, f"rater {label}")
        known = self.bodies.get(key) or here.rankings.get(key)
        if known is not None:
            if known != says:
                sentence = gettext("Rater %(name)s has ranked these completions otherwise before.")
                raise BadLine(sentence % {"name": label}, code="ranked_otherwise")
            self.counts.known_rankings += 1
            return
        self.bodies[key] = says
        self.labels.add(label)
        self.counts.rankings += 1
        self.counts.surplus += self.free[task.pk] < 1
        self.free[task.pk] -= 1
        if not self.is_dry:
            self.draw_up(
                said,
                body,
                label=label,
                key=key,
                task=task,
                slots=slots,
                here=here,
                new=new,
                order=list(ids.values()),
                num_characters=sum(map(len, texts.values())),
            )

    def label_of(self, said: Said, *, says: bytes, task: RankingTask) -> str:
        """Raters whom a file does not name: who says something else of a task is somebody else."""
        if said.rater != UNNAMED:
            return said.rater
        told = self.unnamed[task.pk]
        if says not in told:
            told.append(says)
        return f"{UNNAMED} {told.index(says) + 1}"

    def draw_up(
        self, said: Said, body: dict[str, Any], *, label: str, key: uuid.UUID, task: RankingTask, slots: list[Slot],
        here: Here, new: New, order: list[str], num_characters: int,
    ) -> None:  # fmt: skip
        free = next((slot for slot in slots if slot.is_free), None)
        if free is not None:
            free.is_free = False
            if free.pk is not None:
                new.taken.append(free)
        now = timezone.now()
        assignment = Assignment(
            slot=free or here.slots[task.pk][0], task=task, rater=self.rater_of(label), leased_at=now, lease_until=now,
            ended_at=now, state=AssignmentState.DONE if free else AssignmentState.SURPLUS, order=order,
        )  # fmt: skip
        ranking, edit = drawn_up(
            assignment,
            body=body,
            client_uuid=key,
            seconds=said.submission.seconds,
            is_simulated=self.is_simulated,
            num_characters=num_characters,
        )
        new.assignments.append(assignment)
        new.edits += [edit] if edit else []
        new.rankings.append(ranking)

    def rater_of(self, label: str) -> User:
        """A user who can't log in, under a pseudonym made of the label by this installation's secret; the label is kept nowhere.

        The same label is the same rater within a campaign.
        """
        if label not in self.raters:
            content = f"{self.campaign.pk}\n{label}"
            lot = salted_hmac("annotation.imported", content, algorithm="sha256").hexdigest()[:16]
            rater, is_new = User.objects.get_or_create(
                username=f"imported-{lot}",
                defaults={"role": Role.RATER, "is_active": False, "is_simulated": self.is_simulated, "password": "!"},
            )
            if is_new:
                Membership.objects.create(campaign=self.campaign, user=rater, is_active=False)
            self.raters[label] = rater
        return self.raters[label]


def sha256_of(row: Row) -> str:
    return conversation_sha256(row.messages)


def completion_id(task: uuid.UUID, name: str) -> uuid.UUID:
    return uuid.uuid5(task, f"completion {name}")


def digest(body: dict[str, Any]) -> bytes:
    return hashlib.sha256(canonical(body)).digest()[:16]
