"""Who may follow hints about runs: whoever may open their pages."""

from __future__ import annotations

from accounts.models import Capability, User
from accounts.topics import topic


@topic("runs")
@topic("run")
def may_follow(user: User, identifier: str) -> bool:
    return user.can(Capability.STUDY)
