"""What the home page says of rounds and of constitutional runs: which wait for a person's decision, and which are in flight."""

from __future__ import annotations

from accounts.home import Panel, panel
from accounts.models import Capability, User
from rlhf import constitutional_status
from rlhf.models import CaiState, ConstitutionalRun, Round, RoundState
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


@panel(Capability.STUDY, order=16)
def constitutional_runs(user: User) -> Panel | None:
    """Those that stand before the gate."""
    some = list(ConstitutionalRun.objects.filter(state=CaiState.FEEDBACK).select_related("campaign")[:MOST])
    if not some:
        return None
    entries = list(zip(some, constitutional_status.statuses_of(some), strict=True))
    entries.sort(key=lambda entry: not entry[1].is_waiting)
    return Panel("rlhf/constitutional_panel.html", {"entries": entries})
