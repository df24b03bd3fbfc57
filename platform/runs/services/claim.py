"""Who may work on a run: the claim of the best queued one, its lease, and the fence that keeps a late worker out.

Every time is the database's own, so that hosts whose clocks differ agree on when a lease is over.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce, Now

from accounts.clock import in_seconds
from runs.models import Run, RunInput, RunState
from runs.services.doorbell import ring
from runs.services.states import change_state, fail


class LeaseLost(Exception):
    """Another worker may have this run by now: whatever we still do to it must not be written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write to a run, as long as no later claim has raised its fence."""

    run_id: uuid.UUID
    fence: int
    worker: str

    @property
    def held(self) -> QuerySet[Run]:
        """The run's row if this claim still stands, else nothing: the condition of every write."""
        return Run.objects.filter(pk=self.run_id, fence=self.fence, state=RunState.RUNNING)


def claimable() -> QuerySet[Run]:
    """Queued runs whose inputs are all there, the most urgent and then the oldest first."""
    missing = RunInput.objects.filter(run=OuterRef("pk"), artifact__isnull=True)
    queued = Run.objects.filter(~Exists(missing), state=RunState.QUEUED, cancel_requested_at__isnull=True)
    return queued.order_by("priority", "queued_at", "pk")


def claim_next(*, worker: str, among: list[uuid.UUID] | None = None) -> Claim | None:
    """Claims the best queued run (of `among`, if given); None where there is nothing to do."""
    candidates = claimable() if among is None else claimable().filter(pk__in=among)
    while (candidate := candidates.first()) is not None:
        run = change_state(
            Run.objects.filter(fence=candidate.fence), candidate.pk, to=RunState.RUNNING,
            because=f"Claimed by {worker}.", fence=F("fence") + 1, attempt=F("attempt") + 1, worker=worker[:120],
            lease_until=in_seconds(settings.RUN_TIMES["lease_s"]), heartbeat_at=Now(),
            started_at=Coalesce(F("started_at"), Now()),
        )  # fmt: skip
        if run is not None:
            return Claim(run.pk, run.fence, run.worker)
    return None


def renew(claim: Claim, *, seconds: float | None = None) -> bool:
    """Moves the lease on; returns whether somebody asked to cancel. Raises `LeaseLost`."""
    lease_s = settings.RUN_TIMES["lease_s"] if seconds is None else seconds
    if not claim.held.update(lease_until=in_seconds(lease_s), heartbeat_at=Now()):
        raise LeaseLost(f"Run {claim.run_id} is no longer held by {claim.worker}.")
    return claim.held.filter(cancel_requested_at__isnull=False).exists()


def hand_back(claim: Claim) -> None:
    """Gives up a run of a worker that is asked to go; this costs the run none of its attempts."""
    change_state(
        claim.held, claim.run_id, to=RunState.QUEUED, because=f"Handed back by {claim.worker}, which was asked to stop.",
        lease_until=None, worker="", max_attempts=F("max_attempts") + 1,
    )  # fmt: skip
    ring()


def requeue(runs: QuerySet[Run], run_id: uuid.UUID, *, because: str) -> Run | None:
    """Puts back a run that lost its worker, fails it after its last attempt, cancels it where that was asked for.

    `runs` carries the condition under which it may be taken. None: somebody else was first.
    """
    cancelled = runs.filter(cancel_requested_at__isnull=False)
    last = runs.filter(attempt__gte=F("max_attempts"))
    sentence = f"{because} That was its last attempt."
    with transaction.atomic():
        changed = (
            change_state(cancelled, run_id, to=RunState.CANCELLED, because="Cancelled on request.")
            or fail(
                last,
                run_id,
                code="worker_lost",
                sentence=sentence,
                advice="See whether it kills its workers, then resume it.",
            )
            or change_state(runs, run_id, to=RunState.QUEUED, because=because, lease_until=None, worker="")
        )
        ring()
    return changed
