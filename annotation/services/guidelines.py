"""Guidelines by version: revised, given worked examples, and read by each rater at a time that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext

from accounts.models import User
from accounts.prepared import prepared
from annotation.differences import Change, changes
from annotation.examples import MOST, BadExample, Example, example_of, examples_of
from annotation.models import Campaign, Guideline, GuidelineReading, Membership, Ranking
from annotation.services.campaigns import BadGuideline, revise_guideline


@dataclass(frozen=True, slots=True)
class Version:
    """One version as those who run the campaign see it. `changes` are from the version before; none where it is the first."""

    guideline: Guideline
    author: str
    num_rankings: int
    num_readers: int
    changes: tuple[Change, ...]
    new_examples: tuple[Example, ...]
    gone_examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    username: str
    number: int | None  # the newest version that she has read; None where she has read none
    at: datetime | None


def add_example(
    campaign: Campaign, *, user: User | None, prompt: str, texts: Sequence[str], order: str, why: str
) -> Guideline:
    """Raises `BadGuideline`, which names the field."""
    try:
        example = example_of(prompt=prompt, texts=texts, order=order, why=why)
    except BadExample as error:
        raise BadGuideline(str(error), field=error.field, code="bad_example") from error
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        here = examples_in(campaign)
        if len(here) >= MOST:
            sentence = gettext("%(most)s examples are the most: remove one first.")
            raise BadGuideline(sentence % {"most": MOST}, code="too_many_examples")
        return revise_guideline(campaign, user=user, examples=[*here, example])


def remove_example(campaign: Campaign, *, index: int, user: User | None) -> Guideline:
    """Raises `BadGuideline` where there is none at that place."""
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        here = list(examples_in(campaign))
        if not 0 <= index < len(here):
            raise BadGuideline(gettext("This example is not there any more."), code="no_example", status=404)
        del here[index]
        return revise_guideline(campaign, user=user, examples=here)


def examples_in(campaign: Campaign) -> tuple[Example, ...]:
    last = campaign.guidelines.first()
    return examples_of(last.examples) if last else ()


def note_reading(guideline: Guideline, *, rater: User) -> None:
    """That she has read this version; a second time changes nothing."""
    GuidelineReading.objects.get_or_create(guideline=guideline, user=rater)


def last_read(campaign_id: int, *, rater: User) -> Guideline | None:
    """The newest version that she says she has read."""
    return read_by.first(campaign_id, rater.pk)


@prepared
def read_by(campaign: int, rater: int) -> QuerySet[Guideline]:
    return Guideline.objects.filter(campaign=campaign, readings__user=rater).order_by("-number")[:1]


def versions_of(guidelines: Sequence[Guideline]) -> list[Version]:
    """Newest first, each with what it changed; a few queries for all of them."""
    ids = [guideline.pk for guideline in guidelines]
    ranked = counts(Ranking.objects.filter(guideline__in=ids, is_live=True))
    read = counts(GuidelineReading.objects.filter(guideline__in=ids))
    numbers = [guideline.number - 1 for guideline in guidelines]
    campaigns = {guideline.campaign_id for guideline in guidelines}
    earlier = Guideline.objects.filter(campaign__in=campaigns, number__in=numbers)
    before = {(guideline.campaign_id, guideline.number + 1): guideline for guideline in earlier}
    return [
        version_of(one, before=before.get((one.campaign_id, one.number)), ranked=ranked, read=read)
        for one in guidelines
    ]


def counts(rows: Any) -> dict[int, int]:
    return dict(rows.order_by().values("guideline").annotate(n=Count("pk")).values_list("guideline", "n"))


def version_of(
    guideline: Guideline, *, before: Guideline | None, ranked: dict[int, int], read: dict[int, int]
) -> Version:
    now, then = examples_of(guideline.examples), examples_of(before.examples) if before else ()
    return Version(
        guideline=guideline,
        author=guideline.created_by.username if guideline.created_by else "",
        num_rankings=ranked.get(guideline.pk, 0),
        num_readers=read.get(guideline.pk, 0),
        changes=changes(before.text, guideline.text) if before and before.text != guideline.text else (),
        new_examples=tuple(one for one in now if one not in then) if before else (),
        gone_examples=tuple(one for one in then if one not in now),
    )


def readers_of(campaign: Campaign) -> list[Reader]:
    """Every rater of the campaign, those who are furthest behind first."""
    newest: dict[int, tuple[int, datetime]] = {}
    read = GuidelineReading.objects.filter(guideline__campaign=campaign).order_by("guideline__number")
    for user, number, at in read.values_list("user", "guideline__number", "read_at"):
        newest[user] = (number, at)
    people = Membership.objects.filter(campaign=campaign, is_active=True, user__is_simulated=False)
    found = [Reader(name, *newest.get(pk, (None, None))) for pk, name in people.values_list("user", "user__username")]
    return sorted(found, key=lambda reader: (reader.number or 0, reader.username))
