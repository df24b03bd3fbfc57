"""How far campaigns are: counts of work for bars and tables, a few queries for any number of campaigns."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import ngettext

from accounts.models import User
from accounts.numbers import whole
from annotation.models import (
    Assignment,
    AssignmentState,
    Campaign,
    CampaignTally,
    Completion,
    Membership,
    Prompt,
    Ranking,
    RankingTask,
    Slot,
    TaskKind,
)

LARGE = 5_000  # rankings wanted: from here on a page does not count all of it each time
FRESH = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Progress:
    """`slots` are the rankings wanted: `slots_passed` of them were skipped where that counts as done, `slots_extra` were added
    because raters of a task differed. `rankings` counts surplus ones too, `simulated` those of programs among them,
    `cannot_rank` the answers that there is no order, and `edits` better versions."""

    prompts: int = 0
    completions: int = 0
    tasks: int = 0
    slots: int = 0
    slots_free: int = 0
    slots_live: int = 0
    slots_done: int = 0
    slots_passed: int = 0
    slots_extra: int = 0
    surplus: int = 0
    rankings: int = 0
    simulated: int = 0
    cannot_rank: int = 0
    edits: int = 0
    raters: int = 0
    counted_at: datetime | None = None  # of a large campaign, which is counted now and then; None: just now

    @property
    def words(self) -> str:
        sentence = ngettext("%(done)s of %(wanted)s ranking", "%(done)s of %(wanted)s rankings", self.slots)
        return sentence % {"done": whole(self.slots_done), "wanted": whole(self.slots)}


@dataclass(frozen=True, slots=True)
class RaterCount:
    """`seconds` is the median of what her rankings took."""

    username: str
    is_active: bool
    is_simulated: bool
    rankings: int
    most_rankings: int | None  # her own limit
    group: str  # as an admin named it; for those who run or study the campaign
    skipped: int
    seconds: float | None
    last_at: datetime | None


def campaign_progress(campaign: Campaign) -> Progress:
    return progress_of([campaign])[campaign.pk]


def progress_of(campaigns: Iterable[Campaign]) -> dict[int, Progress]:
    """By campaign id, in six queries. Of a large campaign what was counted less than `FRESH` ago."""
    ids = [campaign.pk for campaign in campaigns]
    now = timezone.now()
    kept = CampaignTally.objects.filter(campaign__in=ids, counted_at__gt=now - FRESH)
    known = {tally.campaign_id: Progress(**tally.counts, counted_at=tally.counted_at) for tally in kept}
    counted = count_anew([pk for pk in ids if pk not in known])
    keep([(pk, progress) for pk, progress in counted.items() if progress.slots >= LARGE], at=now)
    return known | counted


def keep(large: list[tuple[int, Progress]], *, at: datetime) -> None:
    told = [{name: value for name, value in asdict(progress).items() if name != "counted_at"} for _, progress in large]
    CampaignTally.objects.bulk_create(
        [CampaignTally(campaign_id=pk, counts=counts, counted_at=at) for (pk, _), counts in zip(large, told, strict=True)],
        update_conflicts=True, update_fields=["counts", "counted_at"], unique_fields=["campaign"],
    )  # fmt: skip


def count_anew(ids: list[int]) -> dict[int, Progress]:
    if not ids:
        return {}
    counts: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def add(rows: Iterable[Any], key: str) -> None:
        for row in rows:
            counts[row.pop(key)].update(row)

    # From the prompts: from the completions, a planner walks all that are nobody's better version, of every campaign.
    written = Completion.objects.filter(prompt=OuterRef("pk"), parent=None).order_by().values("prompt")
    asked = Prompt.objects.filter(campaign__in=ids, is_check=False).order_by().values_list("campaign")
    of_prompt = Subquery(written.annotate(num=Count("pk")).values("num"))
    for pk, prompts, completions in asked.annotate(num=Count("pk"), written=Coalesce(Sum(of_prompt), 0)):
        counts[pk] |= {"prompts": prompts, "completions": completions}
    add(
        RankingTask.objects.filter(campaign__in=ids, kind=TaskKind.WORK)
        .order_by()
        .values("campaign")
        .annotate(tasks=Count("pk")),
        "campaign",
    )
    add(
        Slot.objects.filter(campaign__in=ids, task__kind=TaskKind.WORK).order_by().values("campaign")
        .annotate(slots=Count("pk"), slots_free=Count("pk", filter=Q(is_free=True)),
                  slots_extra=Count("pk", filter=Q(number__gte=F("campaign__overlap")))),
        "campaign",
    )  # fmt: skip
    add(
        Assignment.objects.filter(slot__campaign__in=ids, task__kind=TaskKind.WORK).order_by().values("slot__campaign").annotate(
            slots_live=Count("pk", filter=Q(state=AssignmentState.LIVE)),
            slots_passed=Count("pk", filter=Q(state=AssignmentState.PASSED)),
            slots_done=Count("pk", filter=Q(state=AssignmentState.DONE)),
            surplus=Count("pk", filter=Q(state=AssignmentState.SURPLUS)),
        ),
        "slot__campaign",
    )  # fmt: skip
    add(
        Ranking.objects.filter(task__campaign__in=ids, task__kind=TaskKind.WORK, is_live=True).order_by()
        .values("task__campaign").annotate(
            rankings=Count("pk"),
            simulated=Count("pk", filter=Q(is_simulated=True)),
            cannot_rank=Count("pk", filter=~Q(cannot_rank="")),
            edits=Count("edit"),
            raters=Count("rater", distinct=True),
        ),
        "task__campaign",
    )  # fmt: skip
    return {pk: Progress(counted_at=None, **counts[pk]) for pk in ids}


def rater_counts(campaign: Campaign, *, most: int | None = None) -> list[RaterCount]:
    """Everybody who is or was a rater here, busiest first; of `most` of them where that is told."""
    live = Ranking.objects.filter(task__campaign=campaign, task__kind=TaskKind.WORK, is_live=True).order_by()
    rows = live.values("rater").annotate(n=Count("pk"), last=Max("created_at"))
    ranked: dict[int, tuple[int, datetime]] = {row["rater"]: (row["n"], row["last"]) for row in rows}
    people = User.objects.filter(Q(memberships__campaign=campaign) | Q(pk__in=ranked)).distinct()
    named = people.order_by().values_list("pk", "username")
    chosen = [pk for pk, _ in sorted(named, key=lambda one: (-ranked[one[0]][0] if one[0] in ranked else 0, one[1]))][
        :most
    ]
    members = {one.user_id: one for one in Membership.objects.filter(campaign=campaign, user__in=chosen)}
    mine = Assignment.objects.filter(slot__campaign=campaign, task__kind=TaskKind.WORK, rater__in=chosen)
    away = mine.filter(state__in=[AssignmentState.SKIPPED, AssignmentState.PASSED]).order_by().values("rater")
    skipped = dict(away.annotate(n=Count("pk")).values_list("rater", "n"))
    seconds: defaultdict[int, list[float]] = defaultdict(list)
    timed = live.filter(seconds__isnull=False, rater__in=chosen)
    for rater, took in timed.values_list("rater", "seconds"):
        seconds[rater].append(took or 0.0)
    found = User.objects.in_bulk(chosen)
    return [
        RaterCount(
            username=found[pk].username,
            is_active=pk in members and members[pk].is_active and found[pk].is_active,
            is_simulated=found[pk].is_simulated,
            rankings=ranked[pk][0] if pk in ranked else 0,
            skipped=skipped.get(pk, 0),
            most_rankings=members[pk].most_rankings if pk in members else None,
            group=members[pk].group if pk in members else "",
            seconds=round(statistics.median(seconds[pk]), 1) if seconds[pk] else None,
            last_at=ranked[pk][1] if pk in ranked else None,
        )
        for pk in chosen
    ]
