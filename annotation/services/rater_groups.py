"""Groups of raters, named by an admin: what a snapshot carries beside their pseudonyms, and no rater is ever shown."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext

from accounts.models import User
from annotation.models import Campaign, Membership
from annotation.services.campaigns import BadCampaign
from annotation.services.rules import locked_member
from audit.services import record

LONGEST_GROUP = 40  # characters, as the database has it


def put_in_group(campaign: Campaign, *, rater: User, group: str, user: User | None) -> Membership:
    """An empty name takes her out of her group. Holds from the next snapshot on. Raises `BadCampaign`, `NotFound`."""
    name = " ".join(group.split())
    if len(name) > LONGEST_GROUP or not name.isprintable():
        raise BadCampaign(
            gettext("A group's name has at most %(most)s characters, all of them visible.") % {"most": LONGEST_GROUP},
            field="group",
        )
    with transaction.atomic():
        member = locked_member(campaign, rater=rater)
        if member.group != name:
            before, member.group = member.group, name
            member.save(update_fields=["group"])
            record("campaign.rater_group", actor=user, target=campaign, rater=rater.username, before=before, after=name)
    return member
