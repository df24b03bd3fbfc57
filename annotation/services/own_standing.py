"""A rater's own standing in each of her campaigns, as she may read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import User
from annotation.models import Appeal, Campaign, Membership, Standing, StandingChange
from annotation.services.desk import Desk
from annotation.services.own_figures import OwnFigures, figures_in
from annotation.services.qualification import TestProgress


@dataclass(frozen=True, slots=True)
class OwnStanding:
    """`change` is what put her where she is, of one who gets no work; `appeal` is hers against a pause."""

    campaign: Campaign
    standing: str
    change: StandingChange | None
    appeal: Appeal | None
    test: TestProgress | None
    has_test: bool
    figures: OwnFigures

    @property
    def can_appeal(self) -> bool:
        return self.standing == Standing.PAUSED and self.appeal is None


def own_standings(desks: Sequence[Desk], *, rater: User) -> list[OwnStanding]:
    """In the order of her desks, in as many queries for all of them as for one."""
    figures = figures_in([desk.campaign for desk in desks], rater=rater)
    held = [desk.member for desk in desks if desk.standing in (Standing.PAUSED, Standing.FAILED)]
    changes = last_changes(held)
    return [
        OwnStanding(
            campaign=desk.campaign,
            standing=desk.standing,
            change=(change := changes.get(desk.member.pk)),
            appeal=getattr(change, "appeal", None) if desk.standing == Standing.PAUSED else None,
            test=desk.test,
            has_test=desk.member.was_tested,
            figures=figures[desk.campaign.pk],
        )
        for desk in desks
    ]


def last_changes(members: Sequence[Membership]) -> dict[int, StandingChange]:
    """By membership, with the appeal against it if there is one."""
    found: dict[int, StandingChange] = {}
    if members:
        for change in StandingChange.objects.filter(membership__in=members).select_related("appeal"):  # newest first
            found.setdefault(change.membership_id, change)
    return found
