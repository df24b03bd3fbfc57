"""Links that let people become raters of a campaign, who used them, and who tried."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from annotation.models.campaigns import Campaign


class Invitation(models.Model):
    """A link for `max_uses` people until a time. The database has its token's hash alone; an admin sees the link once."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="invitations")
    token_hash = models.CharField(max_length=64, unique=True)
    note = models.CharField(max_length=120, blank=True)  # for whom it is, in an admin's words
    max_uses = models.PositiveSmallIntegerField()
    uses = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Redemption", related_name="+")

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(uses__lte=models.F("max_uses")), name="an_invitation_is_used_no_more_than_it_says"
            ),
            models.CheckConstraint(condition=models.Q(max_uses__gte=1), name="an_invitation_is_for_somebody"),
        ]


class Redemption(models.Model):
    """Who became a rater by which link."""

    invitation = models.ForeignKey(Invitation, on_delete=models.CASCADE, related_name="redemptions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    is_new = models.BooleanField()  # the account was made by the link
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["invitation", "user"], name="a_person_uses_an_invitation_once")
        ]


class JoinAttempt(models.Model):
    """One knock on the door of invitations, by a keyed hash of the address that it came from: too many are sent away."""

    address_hash = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["address_hash", "at"], name="knocks_of_an_address")]
