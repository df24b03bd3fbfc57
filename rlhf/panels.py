"""What the home page says of rounds: which wait for a person's decision, and which are in flight."""

from __future__ import annotations

from accounts.home import Panel, panel
from accounts.models import Capability, User
from rlhf.models import Round, RoundState
from rlhf.status import statuses_of

MOST = 6


@panel(Capability.STUDY, order=15)
def open_rounds(user: User) -> Panel | None:
    turns = list(Round.objects.filter(state=RoundState.OPEN).select_related("campaign", "model", "preferences")[:MOST])
    if not turns:
        return None
    entries = list(zip(turns, statuses_of(turns), strict=True))
    entries.sort(key=lambda entry: not entry[1].is_waiting)  # those that wait for somebody first
    return Panel("rlhf/panel.html", {"entries": entries})
