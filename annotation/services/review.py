"""What reviewers do: see where raters disagree, settle an order, remark on a ranking, return it to its rater."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from accounts.errors import Conflict, NotAllowed, UserError
from accounts.hints import hint
from accounts.models import User
from annotation.models import Adjudication, Campaign, GoldAnswer, Ranking, RankingTask, Remark, TaskKind
from annotation.rails import Rail, order_told, rail_of_ranking, rail_of_settled, review_letters
from annotation.services.standing import REASON, REMARK, checked_words
from annotation.weak_order import BadOrder, WeakOrder
from audit.services import record


class BadAdjudication(UserError):
    code = "bad_order"


class SettledMeanwhile(Conflict):
    code = "settled_meanwhile"


class NotLive(Conflict):
    code = "superseded"


@dataclass(frozen=True, slots=True)
class Said:
    """One rater's ranking, in the letters of the reviewers; no `rail` where it says that there is no order."""

    ranking: Ranking
    rater: str
    rail: Rail | None
    why: str
    remarks: tuple[Remark, ...]

    @property
    def seconds(self) -> int | None:
        return None if self.ranking.seconds is None else round(self.ranking.seconds)

    @property
    def at(self) -> datetime:
        return self.ranking.created_at


@dataclass(frozen=True, slots=True)
class Settled:
    id: uuid.UUID
    by: str
    rail: Rail
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Dispute:
    """One task as reviewers see it. `letters` are completion id -> letter."""

    task: RankingTask
    letters: dict[str, str]
    said: tuple[Said, ...]
    settled: Settled | None
    gold: GoldAnswer | None

    @property
    def asked(self) -> str:
        last: str = self.task.prompt.messages[-1]["content"]
        return last

    @property
    def is_simulated(self) -> bool:
        return any(one.ranking.is_simulated for one in self.said)


def disputed(campaign: Campaign | None, *, shows_settled: bool) -> QuerySet[RankingTask]:
    """Work that two raters ordered in part, or more did; ordered by `agreement` where that is asked of the page."""
    found = RankingTask.objects.filter(kind=TaskKind.WORK, agreement__isnull=False)
    if campaign is not None:
        found = found.filter(campaign=campaign)
    live = Adjudication.objects.filter(is_live=True)
    return found.filter(adjudications__in=live) if shows_settled else found.exclude(adjudications__in=live)


def disputes(tasks: Iterable[RankingTask]) -> list[Dispute]:
    """In the order of `tasks`, in six queries."""
    ids = [task.pk for task in tasks]
    found = RankingTask.objects.select_related("prompt", "campaign").prefetch_related("entries").in_bulk(ids)
    rankings: defaultdict[Any, list[Ranking]] = defaultdict(list)
    live = Ranking.objects.filter(task__in=ids, is_live=True).select_related("rater", "edit")
    for ranking in live.prefetch_related("remarks__by").order_by("rater__username", "pk"):
        rankings[ranking.task_id].append(ranking)
    settled = {one.task_id: one for one in Adjudication.objects.filter(task__in=ids, is_live=True).select_related("by")}
    golds = {gold.source_id: gold for gold in GoldAnswer.objects.filter(source__in=ids, retired_at=None)}
    return [dispute_of(found[pk], rankings=rankings[pk], settled=settled.get(pk), gold=golds.get(pk)) for pk in ids]


def dispute_of(
    task: RankingTask, *, rankings: list[Ranking], settled: Adjudication | None, gold: GoldAnswer | None
) -> Dispute:
    letters = review_letters(task)
    said = tuple(
        Said(
            ranking=ranking, rater=ranking.rater.username, rail=rail_of_ranking(ranking, letters=letters),
            why=ranking.get_cannot_rank_display() if ranking.cannot_rank else "", remarks=tuple(ranking.remarks.all()),
        )
        for ranking in rankings
    )  # fmt: skip
    told = None
    if settled is not None:
        rail = rail_of_settled(settled, letters=letters)
        told = Settled(settled.pk, settled.by.username, rail, settled.reason, settled.created_at)
    return Dispute(task, letters, said, told, gold)


def adjudicate(
    task: RankingTask, *, line: str, reason: str, user: User, over: Adjudication | None = None
) -> Adjudication:
    """Settles the order of a task, in the letters of `review_letters`; again, over the one that she saw (`over`).

    Raises `BadAdjudication`, `SettledMeanwhile`.
    """
    order = read_order(task, line)
    words = checked_words(reason, what=REASON, may_be_empty=True)
    try:
        with transaction.atomic():
            withdraw(task, seen=over)
            made = Adjudication.objects.create(
                task=task, tiers=[list(tier) for tier in order.tiers], strengths=list(order.strengths),
                unranked=list(order.unranked), reason=words, by=user,
            )  # fmt: skip
            record("task.settled", actor=user, target=task.campaign, task=str(task.pk), adjudication=str(made.pk))
            hint(f"campaign:{task.campaign_id}")
    except IntegrityError as error:  # the one live row of the task is another reviewer's
        raise SettledMeanwhile(gettext("Somebody else has settled this task just now. Look at it again.")) from error
    return made


def unsettle(task: RankingTask, *, seen: Adjudication, user: User) -> None:
    """The raters' own rankings count again. Raises `SettledMeanwhile`."""
    with transaction.atomic():
        withdraw(task, seen=seen)
        record("task.unsettled", actor=user, target=task.campaign, task=str(task.pk), adjudication=str(seen.pk))
        hint(f"campaign:{task.campaign_id}")


def withdraw(task: RankingTask, *, seen: Adjudication | None) -> None:
    if seen is None:
        return
    live = Adjudication.objects.filter(pk=seen.pk, task=task, is_live=True)
    if live.update(is_live=False) != 1:
        raise SettledMeanwhile(gettext("Somebody else has settled this task just now. Look at it again."))


def read_order(task: RankingTask, line: str) -> WeakOrder:
    try:
        return order_told(line, letters=review_letters(task))
    except BadOrder as error:
        raise BadAdjudication(str(error), field="order") from error


def remark(ranking: Ranking, *, words: str, returns: bool, user: User) -> Remark:
    """Words to its rater; where it returns the ranking, she is asked to correct it.

    Raises `BadWords`, `NotLive`, `NotAllowed` (it is one's own).
    """
    told = checked_words(words, what=REMARK)
    if ranking.rater_id == user.pk:
        raise NotAllowed(gettext("This ranking is your own: correct it on My work."))
    with transaction.atomic():
        if not Ranking.objects.select_for_update().filter(pk=ranking.pk, is_live=True).exists():
            raise NotLive(gettext("She has corrected this ranking meanwhile. Look at it again."))
        made = Remark.objects.create(ranking=ranking, words=told, returns=returns, by=user)
        record(
            "ranking.returned" if returns else "ranking.remarked", actor=user, target=ranking.task.campaign,
            ranking=str(ranking.pk),
        )  # fmt: skip
        hint(f"campaign:{ranking.task.campaign_id}")
    return made


@dataclass(frozen=True, slots=True)
class Returned:
    """A ranking that came back to its rater, with the reviewer's words."""

    ranking: uuid.UUID
    asked: str
    campaign: str
    words: str
    by: str
    at: datetime


def returned_to(rater: User) -> list[Returned]:
    """What she is asked to correct, oldest first; correcting it takes it off the list."""
    return returned_among(remarks_to(rater))


def remarks_to(rater: User, *, rankings: Iterable[Ranking] = ()) -> list[Remark]:
    """Those that return a ranking of hers, and all about `rankings`, oldest first; one query for both."""
    asked = Q(returns=True, ranking__is_live=True) | Q(ranking__in=[one.pk for one in rankings])
    found = Remark.objects.filter(asked, ranking__rater=rater)
    return list(found.select_related("by", "ranking__task__prompt", "ranking__task__campaign"))


def returned_among(remarks: Iterable[Remark]) -> list[Returned]:
    """Each ranking once, with what was said of it last."""
    latest = {one.ranking_id: one for one in remarks if one.returns and one.ranking.is_live}
    return [
        Returned(
            ranking=one.ranking_id, asked=one.ranking.task.prompt.messages[-1]["content"],
            campaign=one.ranking.task.campaign.name, words=one.words, by=one.by.username, at=one.created_at,
        )
        for one in sorted(latest.values(), key=lambda one: (one.created_at, one.pk))
    ]  # fmt: skip
