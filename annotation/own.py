"""What a rater may touch: her campaigns, and what she was given. Everything else does not exist for her."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from accounts.models import User
from accounts.prepared import prepared
from annotation.models import Assignment, Membership

Row = TypeVar("Row")


def hers(row: Row | None) -> Row:
    """Raises `Http404` where there is none."""
    if row is None:
        raise Http404
    return row


@prepared
def campaigns_of(rater: int, slug: str) -> QuerySet[Membership]:
    """Also one that she was taken out of: its page says so."""
    return Membership.objects.filter(user=rater, campaign__slug=slug).select_related("campaign").order_by()


@prepared
def given_to(rater: int, assignment: UUID) -> QuerySet[Assignment]:
    return Assignment.objects.filter(rater=rater, pk=assignment).only("task", "order").order_by()


@prepared
def whole_of(rater: int, assignment: UUID) -> QuerySet[Assignment]:
    """What she was given stays hers to finish, also after she was taken out of the campaign."""
    whole = Assignment.objects.select_related("task__prompt", "task__campaign", "guideline")
    return whole.filter(rater=rater, pk=assignment).order_by()


def own_membership(slug: str, *, rater: User) -> Membership:
    member = hers(campaigns_of.first(rater.pk, slug))
    member.user = rater
    return member


def own_assignment(pk: UUID, *, rater: User) -> Assignment:
    """With what is needed to know it again; the rest is read where it is locked."""
    found = hers(given_to.first(rater.pk, pk))
    found.rater = rater
    return found


def own_task(pk: UUID, *, rater: User, slug: str) -> Assignment:
    """With its prompt, its campaign and its guideline, to be shown."""
    found = hers(whole_of.first(rater.pk, pk))
    found.rater = rater
    return hers(found if found.task.campaign.slug == slug else None)
