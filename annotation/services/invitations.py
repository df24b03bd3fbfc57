"""Invitations by link: made, used by exactly as many people as they say, and revoked."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from accounts.clock import in_seconds
from accounts.errors import Conflict, NotAllowed, NotFound, UserError
from accounts.models import Capability, Role, User
from accounts.numbers import whole
from accounts.services import create_person
from annotation.models import Campaign, CampaignState, Invitation, JoinAttempt, Membership, Redemption
from annotation.services.campaigns import add_raters
from audit.services import record

MOST_USES = 1000
MOST_DAYS = 90
DAY = 24 * 3600
TOKEN_BYTES = 32
MOST_KNOCKS = 20  # of one address
KNOCKS_WITHIN = timedelta(minutes=15)


class BadInvitation(UserError):
    code = "bad_invitation"


class NotInvited(NotFound):
    """One answer to a link that never was, is used up, has run out or was revoked: a stranger learns nothing of it."""

    code = "not_invited"


class CannotJoin(Conflict):
    code = "cannot_join"


class TooManyKnocks(NotAllowed):
    code = "too_many_attempts"
    status = 429


@dataclass(frozen=True, slots=True)
class Joined:
    user: User
    campaign: Campaign
    is_new: bool  # the account was made by the link


def invite(
    campaign: Campaign, *, max_uses: int, days: int, user: User | None, note: str = ""
) -> tuple[Invitation, str]:
    """A link's row and its token, which is nowhere else in readable form. Raises `BadInvitation`."""
    if not 1 <= max_uses <= MOST_USES:
        sentence = gettext("A link is for 1 to %(most)s people, not %(num)s.")
        raise BadInvitation(sentence % {"most": whole(MOST_USES), "num": whole(max_uses)}, field="max_uses")
    if not 1 <= days <= MOST_DAYS:
        sentence = gettext("A link holds for 1 to %(most)s days, not %(num)s.")
        raise BadInvitation(sentence % {"most": MOST_DAYS, "num": whole(days)}, field="days")
    if campaign.state == CampaignState.CLOSED:
        raise BadInvitation(gettext("%(name)s is closed. Reopen it first.") % {"name": campaign.name})
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        made = Invitation.objects.create(
            campaign=campaign, token_hash=hash_of(token), note=note.strip(), max_uses=max_uses, created_by=user,
            expires_at=in_seconds(days * DAY),
        )  # fmt: skip
        record("campaign.invited", actor=user, target=campaign, invitation=made.pk, max_uses=max_uses, days=days)
    made.refresh_from_db(fields=["expires_at"])
    return made, token


def hash_of(token: str) -> str:
    """Of 256 random bits nothing can be guessed, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def revoke(invitation: Invitation, *, user: User | None) -> bool:
    """False where it was revoked before. Who has joined by it stays."""
    with transaction.atomic():
        revoked = Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=Now())
        if revoked:
            record("campaign.invitation_revoked", actor=user, target=invitation.campaign, invitation=invitation.pk)
    return bool(revoked)


def invitation_of(token: str, *, is_locked: bool = False) -> Invitation:
    """The one that can be used now, for the caller's transaction alone where `is_locked`. Raises `NotInvited`."""
    invitations = Invitation.objects.select_related("campaign")
    if is_locked:
        invitations = invitations.select_for_update(of=("self",))
    valid = invitations.filter(token_hash=hash_of(token), revoked_at=None, expires_at__gt=Now())
    found = valid.exclude(campaign__state=CampaignState.CLOSED).first()
    if found is None or found.uses >= found.max_uses:
        raise NotInvited(
            gettext("This link is used up, has run out, or was never given. Ask who gave it to you for a new one.")
        )
    return found


def join(token: str, *, user: User) -> Joined:
    """Makes somebody who has an account a rater; who is one already uses nothing up. Raises `NotInvited`, `CannotJoin`."""
    with transaction.atomic():
        invitation = invitation_of(token, is_locked=True)  # before anything is read: her second click finds the first
        campaign = invitation.campaign
        known = Membership.objects.select_for_update().filter(campaign=campaign, user=user).first()
        if known is not None and known.is_active:
            return Joined(user, campaign, is_new=False)
        if known is not None:
            sentence = gettext("An admin has taken you out of %(name)s: ask to be let in again.")
            raise CannotJoin(sentence % {"name": campaign.name}, code="taken_out")
        if not user.can(Capability.RANK):
            sentence = (
                gettext("You are logged in as admin, and only raters and reviewers rank.")
                if user.role == Role.ADMIN
                else gettext("You are logged in as researcher, and only raters and reviewers rank.")
            )
            raise CannotJoin(sentence, code="role_ranks_nothing")
        add(invitation, user=user, is_new=False)
    return Joined(user, campaign, is_new=False)


def join_as_new(token: str, *, username: str, password: str) -> Joined:
    """Makes an account of role rater, with a password of her own, and makes her a rater.

    Raises `NotInvited`, `BadPerson`, `NameTaken`; then the link is as it was.
    """
    with transaction.atomic():
        invitation = invitation_of(token, is_locked=True)
        user, _ = create_person(username, role=Role.RATER, by=invitation.created_by, password=password)
        add(invitation, user=user, is_new=True)
    return Joined(user, invitation.campaign, is_new=True)


def add(invitation: Invitation, *, user: User, is_new: bool) -> None:
    left = Invitation.objects.filter(pk=invitation.pk, uses__lt=F("max_uses"))
    assert left.update(uses=F("uses") + 1) == 1  # it is locked, and was read since
    Redemption.objects.create(invitation=invitation, user=user, is_new=is_new)
    add_raters(invitation.campaign, raters=[user], user=invitation.created_by)
    record(
        "campaign.joined", actor=user, target=invitation.campaign, invitation=invitation.pk, username=user.username,
        is_new=is_new,
    )  # fmt: skip


def knock(address: str) -> None:
    """Counts an attempt to use a link, good or bad. Raises `TooManyKnocks` where an address made too many."""
    lot = salted_hmac("annotation.knock", address, algorithm="sha256").hexdigest()
    recent = JoinAttempt.objects.filter(address_hash=lot, at__gt=timezone.now() - KNOCKS_WITHIN)
    if recent.count() >= MOST_KNOCKS:
        minutes = round(KNOCKS_WITHIN.total_seconds() / 60)
        raise TooManyKnocks(
            gettext("That were too many attempts from where you are. Wait %(minutes)s minutes.") % {"minutes": minutes}
        )
    JoinAttempt.objects.create(address_hash=lot)


def forget_knocks() -> int:
    return JoinAttempt.objects.filter(at__lt=timezone.now() - KNOCKS_WITHIN).delete()[0]
