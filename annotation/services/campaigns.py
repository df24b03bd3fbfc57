"""Campaigns: made, given raters and guidelines, opened and closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext

from accounts.errors import Conflict, UserError
from accounts.hints import hint
from accounts.models import Capability, User
from accounts.numbers import whole
from annotation.attributes import Attribute, BadAttributes, as_json, attributes_of, parse_attributes
from annotation.examples import Example
from annotation.examples import as_json as examples_as_json
from annotation.models import CAMPAIGN_TRANSITIONS, Campaign, CampaignState, Guideline, Membership
from annotation.rules import MOST_RATERS, BadRules, Rules, check_rules
from annotation.services.qualification import first_standing
from audit.services import record

LONGEST_LEASE = 24 * 60  # minutes
LONGEST_NAME = 120
LONGEST_GUIDELINE = 100_000  # characters
RESERVED = ("new", "mine")  # what addresses have where a campaign's slug would stand


class BadCampaign(UserError):
    code = "bad_campaign"


class BadGuideline(UserError):
    code = "bad_guideline"


class NameTaken(Conflict):
    code = "name_taken"


class NoSuchMove(Conflict):
    code = "bad_state"


def create_campaign(
    name: str,
    *,
    k: int,
    overlap: int,
    guideline: str,
    user: User | None,
    raters: Iterable[User] = (),
    lease_minutes: int = 20,
    attributes: Sequence[Any] = (),
    **rules: Any,
) -> Campaign:
    """Makes a draft with version 1 of its guideline. Raises `BadCampaign`, which names the bound, or `NameTaken`.

    `attributes`, as JSON, are kept as they are for good, so that all ratings of a campaign mean the same. `rules` are
    fields of `Rules`.
    """
    name, slug = checked_name(name)
    check_campaign(k=k, overlap=overlap, lease_minutes=lease_minutes)
    scales = checked_attributes(attributes)
    checked = checked_rules(Rules(**rules), overlap=overlap)
    with transaction.atomic():
        campaign = Campaign.objects.create(
            name=name, slug=slug, k=k, overlap=overlap, lease_minutes=lease_minutes, attributes=as_json(scales),
            created_by=user, **asdict(checked),
        )  # fmt: skip
        Guideline.objects.create(campaign=campaign, number=1, text=guideline, created_by=user)
        add_raters(campaign, raters=raters, user=user)
        record("campaign.created", actor=user, target=campaign, name=name, k=k, overlap=overlap)
    return campaign


def checked_name(name: str) -> tuple[str, str]:
    """A campaign's name and its slug, both of which nobody has. Raises `BadCampaign`, `NameTaken`."""
    name = name.strip()
    slug = slugify(name)[:LONGEST_NAME]
    if not slug or len(name) > LONGEST_NAME:
        raise BadCampaign(
            gettext("A name has 1 to %(most)s characters, with a letter or a digit among them.")
            % {"most": LONGEST_NAME},
            field="name",
        )
    if slug in RESERVED:
        raise BadCampaign(
            gettext("A campaign can't be called %(name)s: an address has that word. Choose another.") % {"name": name},
            field="name",
        )
    if (Campaign.objects.filter(name=name) | Campaign.objects.filter(slug=slug)).exists():
        raise NameTaken(
            gettext("A campaign is called %(name)s or much like it. Choose another name.") % {"name": name},
            field="name",
        )
    return name, slug


def check_campaign(*, k: int, overlap: int, lease_minutes: int) -> None:
    if not 2 <= k <= 9:
        raise BadCampaign(gettext("K is 2 to 9 completions a task, not %(k)s.") % {"k": k}, field="k")
    if not 1 <= overlap <= MOST_RATERS:
        raise BadCampaign(
            gettext("1 to %(most)s raters rank a task, not %(num)s.") % {"most": MOST_RATERS, "num": overlap},
            field="overlap",
        )
    if not 1 <= lease_minutes <= LONGEST_LEASE:
        raise BadCampaign(
            gettext("A lease lasts 1 to %(most)s minutes, not %(num)s.")
            % {"most": LONGEST_LEASE, "num": lease_minutes},
            field="lease_minutes",
        )


def attributes_told(lines: Iterable[str]) -> tuple[Attribute, ...]:
    """From what a person types, one a line. Raises `BadCampaign`."""
    try:
        return parse_attributes("\n".join(lines))
    except BadAttributes as error:
        raise BadCampaign(str(error), field="attributes") from error


def checked_rules(rules: Rules, *, overlap: int) -> Rules:
    try:
        check_rules(rules, overlap=overlap)
    except BadRules as error:
        raise BadCampaign(str(error), field=error.field) from error
    return rules


def checked_attributes(given: Sequence[Any]) -> tuple[Attribute, ...]:
    try:
        return attributes_of(given)
    except BadAttributes as error:
        raise BadCampaign(str(error), field="attributes") from error


def add_raters(campaign: Campaign, *, raters: Iterable[User], user: User | None) -> int:
    """Lets people rank here, those removed before included; says how many are new. Raises `BadCampaign`."""
    people = list(raters)
    for person in people:
        if not person.can(Capability.RANK):
            raise BadCampaign(
                gettext("%(name)s may not rank: only raters and reviewers do.") % {"name": person.username},
                field="raters",
            )
    with transaction.atomic():
        known = Membership.objects.filter(campaign=campaign, user__in=people, is_active=True)
        new = sorted({person.username for person in people} - set(known.values_list("user__username", flat=True)))
        for person in people:
            Membership.objects.update_or_create(
                campaign=campaign, user=person, defaults={"is_active": True},
                create_defaults={"is_active": True, "standing": first_standing(campaign)},
            )  # fmt: skip
        if new:
            record("campaign.raters_added", actor=user, target=campaign, raters=new)
    return len(new)


def remove_rater(campaign: Campaign, *, rater: User, user: User | None) -> None:
    """She keeps her rankings and what she has leased, and gets no more work."""
    with transaction.atomic():
        if Membership.objects.filter(campaign=campaign, user=rater, is_active=True).update(is_active=False):
            record("campaign.rater_removed", actor=user, target=campaign, rater=rater.username)


def revise_guideline(
    campaign: Campaign, *, user: User | None, text: str | None = None, examples: Sequence[Example] | None = None
) -> Guideline:
    """A new version; what is not given stays as it was. Who is ranking now finishes under the one that she was shown."""
    if text is not None and len(text) > LONGEST_GUIDELINE:
        raise BadGuideline(
            gettext("A guideline has at most %(most)s characters.") % {"most": whole(LONGEST_GUIDELINE)}, field="text"
        )
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # two admins at once get two numbers
        last = campaign.guidelines.first()
        told = (last.text if last else "") if text is None else text
        worked = (last.examples if last else []) if examples is None else examples_as_json(examples)
        if last is not None and (last.text, last.examples) == (told, worked):
            return last
        made = Guideline.objects.create(
            campaign=campaign, number=last.number + 1 if last else 1, text=told, examples=worked, created_by=user
        )
        record("campaign.guideline_revised", actor=user, target=campaign, number=made.number)
    return made


def set_state(campaign: Campaign, *, to: str, user: User | None) -> Campaign:
    """Moves a campaign along `CAMPAIGN_TRANSITIONS`, and returns it as it is then. Raises `NoSuchMove`."""
    froms = [state for state, targets in CAMPAIGN_TRANSITIONS.items() if to in targets]
    with transaction.atomic():
        moved = Campaign.objects.filter(pk=campaign.pk, state__in=froms).update(state=to) if froms else 0
        before = campaign.state
        campaign.refresh_from_db(fields=["state"])
        if not moved:
            known = ", ".join(sorted(CAMPAIGN_TRANSITIONS[campaign.state]))
            sentence = (
                gettext("A campaign that is %(state)s can become %(known)s, not %(to)s.")
                if to
                else gettext("A campaign that is %(state)s can become %(known)s, not nothing.")
            )
            raise NoSuchMove(sentence % {"state": campaign.state, "known": known, "to": to})
        record("campaign.state", actor=user, target=campaign, before=before, after=to)
        hint(f"campaign:{campaign.pk}")
    return campaign


def is_open(campaign: Campaign) -> bool:
    return Campaign.objects.filter(pk=campaign.pk, state=CampaignState.OPEN).exists()
