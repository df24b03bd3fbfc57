"""Who may follow hints about a campaign: whoever may open its page, and its raters."""

from __future__ import annotations

from accounts.models import Capability, User
from accounts.topics import topic
from annotation.models import Membership


@topic("campaign")
def may_follow(user: User, identifier: str) -> bool:
    if user.can(Capability.STUDY) or user.can(Capability.REVIEW):
        return True
    is_number = identifier.isascii() and identifier.isdigit()
    return is_number and Membership.objects.filter(campaign_id=identifier, user=user, is_active=True).exists()
