"""One attempt at a run: from the claim to its end, whatever happens to the training process, the database or the worker."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from runs.audience import attend
from runs.models import EventKind, Run, RunState
from runs.publishing import PublishFailed, publish
from runs.services import states
from runs.services.child import Child
from runs.services.claim import Claim, LeaseLost, hand_back, renew, requeue
from runs.services.events import EventTail, Said, copy_events, tell
from runs.services.inputs import spec_inputs
from training import contract

POLL_S = 0.1
COPY_S = 0.5  # events are copied, and hinted at, twice a second
ATTEND_S = 1.0  # what it asks is brought to people, and their answers to it
CRASH_ADVICE = "The log holds what it printed last. Resume it to go on from its last checkpoint."
OOM_ADVICE = "Use a smaller batch or a smaller maximum length, then start it again."
DISK_FULL = "The disk is full; the last good checkpoint was kept."
DISK_ADVICE = "Free space, then resume the run."
FULL_BYTES = 100_000  # a disk with less left is full
logger = logging.getLogger("steadyhand.runs")


def never() -> bool:
    return False


@dataclass(slots=True)
class Attempt:
    """What the supervisor knows while the training process works."""

    claim: Claim
    run: Run
    tail: EventTail
    must_leave: Callable[[], bool]  # whether this worker was asked to go (a deploy)
    child: Child | None = None
    is_cancelled: bool = False
    is_leaving: bool = False
    kill_at: float | None = None  # when its grace is over
    beat_at: float = 0.0  # of the next heartbeat
    copy_at: float = 0.0
    attend_at: float = 0.0
    unheard: set[type[Exception]] = field(default_factory=set)  # kinds of failure between it and people, told once
    lease_until: float = field(default_factory=lambda: time.monotonic() + settings.RUN_TIMES["lease_s"])
    heard_at: float = field(default_factory=time.monotonic)  # when the process last said something
    is_stalled: bool = False
    unwritten: list[Said] = field(default_factory=list)  # read, but the database was away


def supervise(claim: Claim, *, must_leave: Callable[[], bool] = never) -> None:
    """Works on a claimed run until it has ended, was handed back, or was taken by another. Raises nothing expected."""
    run = Run.objects.get(pk=claim.run_id)
    attempt = Attempt(claim, run, EventTail(run.folder / contract.EVENTS, after=run.copied_seq), must_leave)
    try:
        code = work(attempt)
        insist(attempt, lambda: conclude(attempt, code))
    except LeaseLost as lost:
        logger.warning("%s Its training process was ended here.", lost)
    except OSError as error:
        # Ours, not the trainer's: the folder cannot be written (a full disk, a lost mount).
        insist(attempt, partial(conclude_unusable_folder, attempt, error))
    finally:
        if attempt.child is not None:
            attempt.child.close()


def insist(attempt: Attempt, do: Callable[[], None]) -> None:
    """Does it again while the database is away, as long as the lease lasts. Raises `LeaseLost` after that."""
    while not tried(attempt, do):
        time.sleep(0.5)


def tried(attempt: Attempt, do: Callable[[], None]) -> bool:
    """False where the database was away. Raises `LeaseLost` where the lease is over as well."""
    try:
        do()
    except (OperationalError, InterfaceError) as error:
        connection.close()
        if time.monotonic() >= attempt.lease_until:
            raise LeaseLost(f"The lease of run {attempt.run.pk} is over, and the database is away: {error}.") from error
        logger.warning("The database is away; run %s goes on as long as its lease lasts: %s", attempt.run.pk, error)
        return False
    return True


def write_spec(run: Run) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    spec = contract.Spec(
        run=str(run.pk),
        method=run.method,
        recipe=run.recipe,
        inputs=spec_inputs(run),
        seed=run.seed,
        attempt=run.attempt,
        is_estimate=run.is_estimate,
    )
    contract.write_atomically(run.folder / contract.SPEC, spec.dump())


def work(attempt: Attempt) -> int:
    """Starts the process and sees it to its end: heartbeats, events, requests to stop. Returns its exit code."""
    write_spec(attempt.run)
    busy_until = time.monotonic() + settings.RUN_TIMES["lease_s"]
    while True:
        code = see_through(attempt)
        # Another process holds the folder: of a worker on another host that has not noticed yet that its lease is over.
        if code != contract.EXIT_BUSY or time.monotonic() > busy_until or attempt.kill_at is not None:
            return code
        time.sleep(1)


def see_through(attempt: Attempt) -> int:
    attempt.child = child = Child(attempt.run.folder, fence=attempt.claim.fence)
    while (code := child.exit_code()) is None:
        if not tried(attempt, lambda: keep_up(attempt)):
            time.sleep(0.5)
        stop_where_asked(attempt, child)
        time.sleep(POLL_S)
    attempt.beat_at = attempt.copy_at = 0.0  # the last word, and whether somebody has cancelled meanwhile
    insist(attempt, lambda: keep_up(attempt))
    return code


def keep_up(attempt: Attempt) -> None:
    """Renews the lease, copies events, and goes between the run and those whom it asks, when it is time for it."""
    now = time.monotonic()
    if now >= attempt.beat_at:
        attempt.is_cancelled |= renew(attempt.claim)
        attempt.beat_at = now + settings.RUN_TIMES["heartbeat_s"]
        attempt.lease_until = now + settings.RUN_TIMES["lease_s"]
    if now >= attempt.copy_at:
        copy_what_was_said(attempt)
        attempt.copy_at = now + COPY_S
    if now >= attempt.attend_at:
        attend(attempt.run, seen=attempt.unheard)
        attempt.attend_at = now + ATTEND_S


def copy_what_was_said(attempt: Attempt) -> None:
    while said := attempt.unwritten or attempt.tail.read():
        attempt.unwritten = said
        copy_events(attempt.claim, said)
        attempt.unwritten = []
        attempt.heard_at = time.monotonic()


def stop_where_asked(attempt: Attempt, child: Child) -> None:
    """SIGTERM (the process writes a checkpoint), and SIGKILL to the whole group once its grace is over."""
    now = time.monotonic()
    attempt.is_leaving |= attempt.must_leave()
    attempt.is_stalled |= now - attempt.heard_at > settings.RUN_TIMES["stall_s"]
    if attempt.kill_at is None:
        if attempt.is_cancelled or attempt.is_leaving or attempt.is_stalled:
            child.ask_to_stop()
            attempt.kill_at = now + settings.RUN_TIMES["cancel_grace_s"]
    elif now >= attempt.kill_at:
        child.kill()


def conclude(attempt: Attempt, code: int) -> None:
    """Turns how the process ended into how the run ended. An exit code of 0 proves nothing: the manifest does."""
    claim, run, child = attempt.claim, attempt.run, attempt.child
    assert child is not None
    if attempt.is_cancelled:
        states.change_state(claim.held, run.pk, to=RunState.CANCELLED, because="Cancelled on request.")
    elif code == contract.EXIT_DONE:
        conclude_done(attempt)
    elif attempt.is_stalled:
        minutes = settings.RUN_TIMES["stall_s"] / 60
        fail(attempt, "stalled", f"It said nothing for {minutes:g} minutes and was stopped.", CRASH_ADVICE)
    elif attempt.is_leaving:
        hand_back(claim)
    elif code == contract.EXIT_STOPPED or code == -signal.SIGTERM:
        requeue(claim.held, run.pk, because="Its training process was stopped from outside.")
    elif code == contract.EXIT_FAILED:
        told = json.loads((run.folder / contract.FAILURE).read_text())
        fail(attempt, told["code"], told["sentence"], told["advice"])
    else:
        conclude_crash(attempt, code, child)


def conclude_done(attempt: Attempt) -> None:
    try:
        publish(attempt.claim, attempt.run)
    except PublishFailed as failure:
        fail(attempt, failure.code, failure.sentence, failure.advice)


def conclude_unusable_folder(attempt: Attempt, error: OSError) -> None:
    if error.errno == errno.ENOSPC:
        fail(attempt, "disk_full", DISK_FULL, DISK_ADVICE)
    else:
        fail(
            attempt, "worker_error", f"The worker cannot use the run's folder: {error}", "Mend it, then resume the run."
        )


def conclude_crash(attempt: Attempt, code: int, child: Child) -> None:
    if printed := child.tail():
        tell(attempt.claim, EventKind.LOG, {"text": printed})
    if shutil.disk_usage(attempt.run.folder).free < FULL_BYTES:
        # So full that the process could not even write down why it ended.
        fail(attempt, "disk_full", DISK_FULL, DISK_ADVICE)
        return
    if child.ran_out_of_memory():
        fail(attempt, "crashed", "The kernel ended its process, as memory had run out.", OOM_ADVICE)
        return
    how = (
        f"was ended by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"crashed with exit code {code}"
    )
    last = printed.splitlines()[-1][:600] if printed else "it printed nothing"
    advice = OOM_ADVICE if "OutOfMemoryError" in printed or "MemoryError" in printed else CRASH_ADVICE
    fail(attempt, "crashed", f"Its process {how}: {last}", advice)


def fail(attempt: Attempt, code: str, sentence: str, advice: str) -> None:
    states.fail(attempt.claim.held, attempt.run.pk, code=code, sentence=sentence, advice=advice)
