"""Rankings that were made elsewhere: read from a file, all or none, and the same file twice is as once.

A line is {"prompt": text or messages, "completions": [{"id", "text", "model"?}], "rankings": [{"rater", "tiers", ...}]}, and it
may have "language", "skill" and "priority" as a prompt does; what else a ranking may say is in `annotation.services.saying`.
Raters of elsewhere become users who can't log in, under a pseudonym
made of their label by this installation's secret: the label itself is stored nowhere. Completions of the same text are kept as
they were ranked; a snapshot makes no comparison of two such.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.errors import UserError
from accounts.hints import hint
from accounts.models import Role, User
from annotation.attributes import Attribute, as_json, attributes_of
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
    TaskCompletion,
)
from annotation.rules import MOST_RATERS
from annotation.services.campaigns import create_campaign
from annotation.services.completions import slots_of
from annotation.services.prompts import conversation, needs_of, priority_of
from annotation.services.queues import begin_anew, queue_of
from annotation.services.rank import write
from annotation.services.saying import LONGEST, Said, body_of, check_fields, said_of
from annotation.services.texts import BadLine, json_lines, refuse
from audit.services import record
from registry.services.schemas import canonical, conversation_sha256, split_of

MOST_COMPLETIONS = 9
ROW = {"prompt", "completions", "rankings", "language", "skill", "priority"}
COMPLETION = {"id", "text", "model"}


class OtherRanking(BadLine):
    """The same rater has ranked the same completions otherwise."""


class TooFew(UserError):
    code = "no_rows"


@dataclass(frozen=True, slots=True)
class Row:
    """One line, checked."""

    number: int
    messages: list[dict[str, str]]
    completions: tuple[tuple[str, str, str], ...]  # id, text, model's name
    needs: dict[str, str]  # language and skill that raters must have
    priority: int
    judgements: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    campaign: str
    num_tasks: int
    num_rankings: int
    num_known: int  # rankings that were here already
    num_raters: int


@dataclass(slots=True)
class Tally:
    tasks: int = 0
    rankings: int = 0
    known: int = 0
    raters: dict[str, User] = field(default_factory=dict)
    queues: set[Queue] = field(default_factory=set)
    complaints: list[tuple[int, str]] = field(default_factory=list)


def import_rankings(
    path: Path,
    *,
    name: str,
    user: User | None,
    overlap: int = 1,
    is_simulated: bool = False,
    attributes: Sequence[Attribute] = (),
) -> Imported:
    """Imports into the campaign called `name`, which is made as a draft if there is none.

    Every task has `overlap` slots (of a campaign that exists: its own); those that the file's rankings leave free are for
    raters here, and rankings beyond them are kept as surplus. `attributes` are those of a campaign that is made; one that
    exists keeps its own. Raises `NotFound`, `BadFile`, `BadLines`, `BadCampaign`.
    """
    known = Campaign.objects.filter(name=name.strip()).first()
    scales = attributes_of(known.attributes) if known else attributes
    rows = read(path, attributes=scales)
    with transaction.atomic():
        campaign = known or made(name, rows, overlap=overlap, user=user, attributes=scales)
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # one import at a time
        tally = Tally()
        for row in rows:
            try:
                save(row, campaign=campaign, tally=tally, is_simulated=is_simulated)
            except OtherRanking as error:
                tally.complaints.append((row.number, str(error)))
        refuse(tally.complaints)
        begin_anew(tally.queues)
        if tally.tasks or tally.rankings:
            record(
                "campaign.rankings_imported", actor=user, target=campaign, tasks=tally.tasks, rankings=tally.rankings
            )
            hint(f"campaign:{campaign.pk}")
    return Imported(campaign.slug, tally.tasks, tally.rankings, tally.known, len(tally.raters))


def made(name: str, rows: list[Row], *, overlap: int, user: User | None, attributes: Sequence[Attribute]) -> Campaign:
    most = max(len(row.judgements) for row in rows)
    return create_campaign(
        name, k=max(len(row.completions) for row in rows), overlap=min(max(overlap, most), MOST_RATERS), guideline="",
        user=user, attributes=as_json(attributes),
    )  # fmt: skip


def read(path: Path, *, attributes: Sequence[Attribute]) -> list[Row]:
    """All rows of the file. Raises `BadLines` with every line that is wrong."""
    rows, complaints = [], []
    for number, given in json_lines(path):
        try:
            if isinstance(given, BadLine):
                raise given
            rows.append(row_of(number, given, attributes=attributes))
        except BadLine as error:
            complaints.append((number, str(error)))
    refuse(complaints)
    if not rows:
        raise TooFew("The file has no row.")
    return rows


def row_of(number: int, given: Any, *, attributes: Sequence[Attribute]) -> Row:
    check_fields(given, known=ROW, needed={"prompt", "completions"}, what="a row")
    completions = tuple(completions_of(given["completions"]))
    rankings = given.get("rankings", [])
    if not isinstance(rankings, list):
        raise BadLine('"rankings" is a list.')
    texts = {name: text for name, text, _ in completions}
    judgements = tuple(said_of(ranking, texts=texts, attributes=attributes) for ranking in rankings)
    raters = [judgement.rater for judgement in judgements]
    if twice := sorted({rater for rater in raters if raters.count(rater) > 1}):
        raise BadLine(f"Rater {twice[0]} ranks this twice.")
    needs, priority = needs_of(given), priority_of(given.get("priority"))
    return Row(number, conversation(given["prompt"]), completions, needs, priority, judgements)


def completions_of(given: Any) -> Iterator[tuple[str, str, str]]:
    if not isinstance(given, list) or not 2 <= len(given) <= MOST_COMPLETIONS:
        count = len(given) if isinstance(given, list) else "no list"
        raise BadLine(f"There are 2 to {MOST_COMPLETIONS} completions to a prompt, not {count}.")
    seen: set[str] = set()
    for one in given:
        check_fields(one, known=COMPLETION, needed={"id", "text"}, what="a completion")
        name, text, model = one["id"], one["text"], one.get("model", "")
        for value in (name, text, model):
            if not isinstance(value, str):
                raise BadLine("A completion's id, text and model are texts.")
        if not 1 <= len(name) <= LONGEST or len(model) > LONGEST:
            raise BadLine(f"A completion's id has 1 to {LONGEST} characters, and so has a model's name.")
        if name in seen:
            raise BadLine(f"Two completions are called {name}.")
        seen.add(name)
        yield name, text, model


def save(row: Row, *, campaign: Campaign, tally: Tally, is_simulated: bool) -> None:
    """Adds what is not here yet. Raises `OtherRanking`."""
    task = task_of(row, campaign=campaign, tally=tally)
    for judgement in row.judgements:
        key = uuid.uuid5(task.pk, f"rater {judgement.rater}")
        ids = {name: str(completion_id(task.pk, name)) for name, _, _ in row.completions}
        texts = {ids[name]: text for name, text, _ in row.completions}
        attributes = attributes_of(campaign.attributes)
        body = body_of(judgement.submission, names=ids, attributes=attributes, texts=texts)
        known = Ranking.objects.filter(client_uuid=key).first()
        if known is None:
            save_ranking(judgement, body, key=key, task=task, tally=tally, is_simulated=is_simulated)
        elif known.body == body:
            tally.known += 1
        else:
            raise OtherRanking(f"Rater {judgement.rater} has ranked these completions otherwise before.")


def task_of(row: Row, *, campaign: Campaign, tally: Tally) -> RankingTask:
    """The task of this content, by an id that follows from it, so that it is found again."""
    sha256 = conversation_sha256(row.messages)
    key = uuid.uuid5(uuid.NAMESPACE_OID, canonical([campaign.pk, sha256, sorted(row.completions)]).decode())
    known = RankingTask.objects.filter(pk=key).first()
    if known is not None:
        return known
    prompt, _ = Prompt.objects.get_or_create(
        campaign=campaign,
        content_hash=sha256,
        defaults={"messages": row.messages, "split": split_of(sha256), "priority": row.priority, **row.needs},
    )
    task = RankingTask.objects.create(pk=key, campaign=campaign, prompt=prompt, priority=row.priority)
    Completion.objects.bulk_create(
        Completion(pk=completion_id(key, name), prompt=prompt, text=text, model_label=model, external_id=name)
        for name, text, model in row.completions
    )
    TaskCompletion.objects.bulk_create(
        TaskCompletion(task=task, completion_id=completion_id(key, name), index=i)
        for i, (name, _, _) in enumerate(row.completions)
    )
    queue = queue_of(campaign, language=prompt.language, skill=prompt.skill)
    tally.queues.add(queue)
    task.slots.bulk_create(slots_of(task, queue=queue, count=campaign.overlap))
    tally.tasks += 1
    return task


def completion_id(task: uuid.UUID, name: str) -> uuid.UUID:
    return uuid.uuid5(task, f"completion {name}")


def save_ranking(
    said: Said, body: dict[str, Any], *, key: uuid.UUID, task: RankingTask, tally: Tally, is_simulated: bool
) -> None:
    rater = rater_of(said.rater, campaign=task.campaign, tally=tally, is_simulated=is_simulated)
    slots = list(task.slots.order_by("number"))
    free = next((slot for slot in slots if slot.is_free), None)
    if free is not None:
        task.slots.filter(pk=free.pk, is_free=True).update(is_free=False)
    now = timezone.now()
    assignment = Assignment.objects.create(
        slot=free or slots[0], task=task, rater=rater, leased_at=now, lease_until=now, ended_at=now,
        state=AssignmentState.DONE if free else AssignmentState.SURPLUS,
        order=[str(pk) for pk in task.entries.values_list("completion_id", flat=True)],
    )  # fmt: skip
    write(assignment, body=body, client_uuid=key, seconds=said.submission.seconds, is_simulated=is_simulated)
    tally.rankings += 1


def rater_of(label: str, *, campaign: Campaign, tally: Tally, is_simulated: bool) -> User:
    """An inactive user whose name tells nothing of the label; the same label is the same rater within a campaign."""
    if label not in tally.raters:
        lot = salted_hmac("annotation.imported", f"{campaign.pk}\n{label}", algorithm="sha256").hexdigest()[:16]
        rater, is_new = User.objects.get_or_create(
            username=f"imported-{lot}",
            defaults={"role": Role.RATER, "is_active": False, "is_simulated": is_simulated, "password": "!"},
        )
        if is_new:
            Membership.objects.create(campaign=campaign, user=rater, is_active=False)
        tally.raters[label] = rater
    return tally.raters[label]
