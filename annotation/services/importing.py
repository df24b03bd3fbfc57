"""Rankings that were made elsewhere: read from a file, all or none, and the same file twice is as once.

A line is {"prompt": text or messages, "completions": [{"id", "text", "model"?}], "rankings": [{"rater", "tiers", "strengths"?,
"seconds"?}]}. Raters of elsewhere become users who can't log in, under a pseudonym made of their label by this
installation's secret: the label itself is stored nowhere. Completions of the same text are kept as they were ranked; a
snapshot makes no comparison of two such.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.errors import UserError
from accounts.hints import hint
from accounts.models import Role, User
from annotation import weak_order
from annotation.models import (
    Assignment,
    AssignmentState,
    Campaign,
    Completion,
    Membership,
    Prompt,
    Ranking,
    RankingTask,
    TaskCompletion,
)
from annotation.services.campaigns import MOST_RATERS, create_campaign
from annotation.services.completions import slots_of
from annotation.services.prompts import conversation
from annotation.services.texts import BadLine, json_lines, refuse
from audit.services import record
from registry.services.schemas import canonical, conversation_sha256, split_of

LONGEST = 120  # characters of an id, a model's or a rater's name
MOST_COMPLETIONS = 9
ROW = {"prompt", "completions", "rankings"}
COMPLETION = {"id", "text", "model"}
RANKING = {"rater", "tiers", "strengths", "seconds"}


class OtherRanking(BadLine):
    """The same rater has ranked the same completions otherwise."""


class TooFew(UserError):
    code = "no_rows"


@dataclass(frozen=True, slots=True)
class Judgement:
    rater: str
    order: weak_order.WeakOrder  # of completion ids as in the file
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line, checked."""

    number: int
    messages: list[dict[str, str]]
    completions: tuple[tuple[str, str, str], ...]  # id, text, model's name
    judgements: tuple[Judgement, ...]


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
    complaints: list[tuple[int, str]] = field(default_factory=list)


def import_rankings(
    path: Path, *, name: str, user: User | None, overlap: int = 1, is_simulated: bool = False
) -> Imported:
    """Imports into the campaign called `name`, which is made as a draft if there is none.

    Every task has `overlap` slots (of a campaign that exists: its own); those that the file's rankings leave free are for
    raters here, and rankings beyond them are kept as surplus. Raises `NotFound`, `BadFile`, `BadLines`, `BadCampaign`.
    """
    rows = read(path)
    with transaction.atomic():
        campaign = Campaign.objects.filter(name=name.strip()).first() or made(name, rows, overlap=overlap, user=user)
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # one import at a time
        tally = Tally()
        for row in rows:
            try:
                save(row, campaign=campaign, tally=tally, is_simulated=is_simulated)
            except OtherRanking as error:
                tally.complaints.append((row.number, str(error)))
        refuse(tally.complaints)
        if tally.tasks or tally.rankings:
            record(
                "campaign.rankings_imported", actor=user, target=campaign, tasks=tally.tasks, rankings=tally.rankings
            )
            hint(f"campaign:{campaign.pk}")
    return Imported(campaign.slug, tally.tasks, tally.rankings, tally.known, len(tally.raters))


def made(name: str, rows: list[Row], *, overlap: int, user: User | None) -> Campaign:
    most = max(len(row.judgements) for row in rows)
    return create_campaign(
        name, k=max(len(row.completions) for row in rows), overlap=min(max(overlap, most), MOST_RATERS), guideline="",
        user=user,
    )  # fmt: skip


def read(path: Path) -> list[Row]:
    """All rows of the file. Raises `BadLines` with every line that is wrong."""
    rows, complaints = [], []
    for number, given in json_lines(path):
        try:
            if isinstance(given, BadLine):
                raise given
            rows.append(row_of(number, given))
        except BadLine as error:
            complaints.append((number, str(error)))
    refuse(complaints)
    if not rows:
        raise TooFew("The file has no row.")
    return rows


def row_of(number: int, given: Any) -> Row:
    check_fields(given, known=ROW, needed={"prompt", "completions"}, what="a row")
    completions = tuple(completions_of(given["completions"]))
    rankings = given.get("rankings", [])
    if not isinstance(rankings, list):
        raise BadLine('"rankings" is a list.')
    judgements = tuple(judgement_of(ranking, names=[name for name, _, _ in completions]) for ranking in rankings)
    raters = [judgement.rater for judgement in judgements]
    if twice := sorted({rater for rater in raters if raters.count(rater) > 1}):
        raise BadLine(f"Rater {twice[0]} ranks this twice.")
    return Row(number, conversation(given["prompt"]), completions, judgements)


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


def judgement_of(given: Any, *, names: list[str]) -> Judgement:
    check_fields(given, known=RANKING, needed={"rater", "tiers"}, what="a ranking")
    rater, tiers, strengths = given["rater"], given["tiers"], given.get("strengths", [])
    seconds = given.get("seconds")
    if not isinstance(rater, str) or not 1 <= len(rater) <= LONGEST:
        raise BadLine(f"A rater is a text of 1 to {LONGEST} characters.")
    if not is_list_of(tiers, list) or not all(is_list_of(tier, str) for tier in tiers):
        raise BadLine('"tiers" is a list of lists of completion ids, the best first.')
    if not is_list_of(strengths, int) or any(isinstance(strength, bool) for strength in strengths):
        raise BadLine('"strengths" is a list of whole numbers.')
    if seconds is not None and not is_duration(seconds):
        raise BadLine('"seconds" is a number, 0 or more.')
    try:
        order = weak_order.canonical(tiers, strengths)
        weak_order.check_complete(order, names=names)
    except weak_order.BadOrder as error:
        raise BadLine(f"Rater {rater}: {error}") from error
    return Judgement(rater, order, seconds)


def check_fields(given: Any, *, known: set[str], needed: set[str], what: str) -> None:
    if not isinstance(given, dict):
        raise BadLine(f"This is not an object: {what} has {', '.join(sorted(needed))}.")
    if missing := sorted(needed - set(given)):
        raise BadLine(f"There is no {missing[0]} in {what}.")
    if unknown := sorted(set(given) - known):
        raise BadLine(f"There is no field {unknown[0]} in {what}; there are {', '.join(sorted(known))}.")


def is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def save(row: Row, *, campaign: Campaign, tally: Tally, is_simulated: bool) -> None:
    """Adds what is not here yet. Raises `OtherRanking`."""
    task = task_of(row, campaign=campaign, tally=tally)
    for judgement in row.judgements:
        key = uuid.uuid5(task.pk, f"rater {judgement.rater}")
        ids = {name: str(completion_id(task.pk, name)) for name, _, _ in row.completions}
        order = weak_order.renamed(judgement.order, ids)
        known = Ranking.objects.filter(client_uuid=key).first()
        if known is None:
            save_ranking(judgement, order, key=key, task=task, tally=tally, is_simulated=is_simulated)
        elif weak_order.canonical(known.tiers, known.strengths) == order:
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
        campaign=campaign, content_hash=sha256, defaults={"messages": row.messages, "split": split_of(sha256)}
    )
    task = RankingTask.objects.create(pk=key, campaign=campaign, prompt=prompt)
    Completion.objects.bulk_create(
        Completion(pk=completion_id(key, name), prompt=prompt, text=text, model_label=model, external_id=name)
        for name, text, model in row.completions
    )
    TaskCompletion.objects.bulk_create(
        TaskCompletion(task=task, completion_id=completion_id(key, name), index=i)
        for i, (name, _, _) in enumerate(row.completions)
    )
    task.slots.bulk_create(slots_of(task, count=campaign.overlap))
    tally.tasks += 1
    return task


def completion_id(task: uuid.UUID, name: str) -> uuid.UUID:
    return uuid.uuid5(task, f"completion {name}")


def save_ranking(
    judgement: Judgement,
    order: weak_order.WeakOrder,
    *,
    key: uuid.UUID,
    task: RankingTask,
    tally: Tally,
    is_simulated: bool,
) -> None:
    rater = rater_of(judgement.rater, campaign=task.campaign, tally=tally, is_simulated=is_simulated)
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
    Ranking.objects.create(
        client_uuid=key, assignment=assignment, task=task, rater=rater, tiers=[list(tier) for tier in order.tiers],
        strengths=list(order.strengths), seconds=judgement.seconds, is_simulated=is_simulated,
    )  # fmt: skip
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
