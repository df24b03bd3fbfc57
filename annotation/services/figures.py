"""A campaign's statistics as they were last counted, and the count, which a worker does: no page waits for it."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import get_language, gettext, gettext_noop
from kombu.exceptions import OperationalError

from accounts.hints import hint
from annotation.models import Campaign, Figures, Ranking, TaskKind
from annotation.quality.sentences import said
from annotation.services.gold_credit import gold_state
from annotation.services.reading import UNNAMED
from annotation.services.report import as_json, report_of
from annotation.services.wall import wall_of

COUNT = "annotation.tasks.count_figures"
ASK_AGAIN = timedelta(minutes=5)  # after which a count that was asked for is taken to be lost
REST = timedelta(seconds=15)  # between two counts, and ten times as long as one takes: people rank all day
EMPTY = "0:"
SENTENCES = ("why", "sentence")  # where a report has them
AT_ONCE = 100  # so few rankings are counted while one waits, in less than a third of a second
BROKE = gettext_noop("The last count broke; what broke is written down in the worker's log.")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """`report` is None where nothing was ever counted; `is_current` where nothing was ranked since; `is_counting` where a
    worker was asked. Neither: the last count is too young for another."""

    report: dict[str, Any] | None
    counted_at: datetime | None
    took_seconds: float
    is_current: bool
    is_counting: bool
    failure: str


def state_of(campaign: Campaign) -> str:
    """Names the rankings that there are: how many, and the newest. Any that is added or corrected changes it; so does gold."""
    work = Ranking.objects.filter(task__campaign=campaign, task__kind=TaskKind.WORK).order_by()
    count = work.aggregate(n=Count("pk"))["n"]
    if not count:
        return EMPTY
    newest = work.order_by("-created_at", "-pk").values_list("pk", flat=True)[0]
    return f"{count}:{newest}:{gold_state(campaign)}"


def figures_of(campaign: Campaign) -> Shown:
    """What is known now; asks a worker for a count where that is old."""
    kept = Figures.objects.filter(campaign=campaign).first() or Figures(campaign=campaign)
    state = state_of(campaign)
    if kept.state != state and int(state.partition(":")[0]) <= AT_ONCE:
        kept = count(campaign)
    is_current = kept.state == state or state == EMPTY
    is_due = not is_current and (kept.counted_at is None or timezone.now() > kept.counted_at + rest_after(kept))
    if is_due:
        ask(campaign)
    return Shown(
        report=in_words(kept.report) if kept.counted_at else None, counted_at=kept.counted_at, took_seconds=kept.took_seconds,
        is_current=is_current, is_counting=is_due, failure=said(kept.failure),
    )  # fmt: skip


def in_words(report: dict[str, Any]) -> dict[str, Any]:
    """A kept report with its sentences in the reader's language."""
    language = get_language()
    if language is None or language.partition("-")[0] == settings.LANGUAGE_CODE:
        return report
    known: dict[str, str] = {}

    def read(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: read(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [read(one) for one in value]
        if not value or name not in SENTENCES:
            return value
        if value not in known:
            known[value] = said(value)
        return known[value]

    told: dict[str, Any] = read(report)
    for part in (told[who] for who in ("people", "programs") if told[who]):
        for kind in part["kinds"]:
            kind["name"] = gettext(UNNAMED) if kind["name"] == UNNAMED else kind["name"]
    return told


def rest_after(kept: Figures) -> timedelta:
    return max(REST, timedelta(seconds=10 * kept.took_seconds))


def ask(campaign: Campaign) -> bool:
    """Asks for a count, once however many look at the page; false where one is under way."""
    Figures.objects.get_or_create(campaign=campaign)
    now = timezone.now()
    is_free = Q(asked_at__isnull=True) | Q(asked_at__lt=now - ASK_AGAIN)
    if Figures.objects.filter(is_free, campaign=campaign).update(asked_at=now) != 1:
        return False
    transaction.on_commit(lambda: _send(campaign.pk), robust=True)
    return True


def _send(campaign_id: int) -> None:
    try:
        current_app.send_task(COUNT, kwargs={"campaign_id": campaign_id}, retry=False, ignore_result=True)
    except (OperationalError, OSError):
        logger.warning("The broker is away; the page asks again in %s", ASK_AGAIN, exc_info=True)


def count(campaign: Campaign) -> Figures:
    """Counts and keeps. What is ranked meanwhile makes it old at once, and the next look asks anew."""
    started, state = time.monotonic(), state_of(campaign)
    try:
        report = as_json(report_of(campaign)) | {"wall": asdict(wall_of(campaign))}
    except Exception:
        Figures.objects.filter(campaign=campaign).update(asked_at=None, failure=BROKE)
        raise
    kept, _ = Figures.objects.update_or_create(
        campaign=campaign,
        defaults={
            "state": state, "report": report, "counted_at": timezone.now(), "asked_at": None, "failure": "",
            "took_seconds": round(time.monotonic() - started, 3),
        },
    )  # fmt: skip
    hint(f"campaign:{campaign.pk}")
    return kept
