"""What people may do to a run that exists: cancel it, or have it go on where it stopped."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from accounts.errors import Conflict
from accounts.hints import hint
from accounts.models import User
from audit.services import record
from runs.models import Run, RunState
from runs.services.doorbell import ring
from runs.services.states import change_state


class NotCancellable(Conflict):
    code = "not_cancellable"


class NotResumable(Conflict):
    code = "not_resumable"


def request_cancel(run: Run, *, user: User | None) -> Run:
    """A queued run is cancelled at once; a running one is asked to stop, and its worker sees to it at its next heartbeat."""
    with transaction.atomic():
        cancelled = change_state(
            Run.objects.filter(state=RunState.QUEUED), run.pk, to=RunState.CANCELLED, because="Cancelled in the queue."
        )
        running = Run.objects.filter(pk=run.pk, state=RunState.RUNNING)
        if cancelled is None and not running.update(cancel_requested_at=timezone.now()):
            raise NotCancellable(gettext("This run has ended already."), state=Run.objects.get(pk=run.pk).state)
        record("run.cancel", actor=user, target=run)
        hint(f"run:{run.pk}")
    return Run.objects.get(pk=run.pk)


def resume_run(run: Run, *, user: User | None) -> Run:
    """Queues a failed or cancelled run again; it goes on from its newest valid checkpoint, with three fresh attempts."""
    with transaction.atomic():
        for given in run.inputs.filter(artifact__isnull=True).select_related("after"):
            if given.after is not None and given.after.state in (RunState.FAILED, RunState.CANCELLED):
                raise NotResumable(
                    gettext("It waits for “%(title)s”, which has not succeeded. Resume that first.")
                    % {"title": given.after.title}
                )
        resumed = change_state(
            Run.objects.all(), run.pk, to=RunState.QUEUED, because="Resumed.", queued_at=timezone.now(),
            failure_code="", failure="", advice="", cancel_requested_at=None, finished_at=None,
            max_attempts=F("attempt") + 3,
        )  # fmt: skip
        if resumed is None:
            raise NotResumable(
                gettext("Only a failed or cancelled run can be resumed."), state=Run.objects.get(pk=run.pk).state
            )
        record("run.resume", actor=user, target=run, attempt=resumed.attempt + 1)
        ring()
    return resumed
