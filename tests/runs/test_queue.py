"""Who gets which run: urgency and age, what waits for what, leases that end, claims that are over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.errors import Conflict
from runs.models import TRANSITIONS, Priority, Run, RunEvent, RunState
from runs.services.claim import LeaseLost, claim_next, renew
from runs.services.control import request_cancel, resume_run
from runs.services.events import Said, copy_events
from runs.services.start import start_run
from runs.services.states import change_state
from runs.services.sweep import sweep
from tests.runs.conftest import a_tokenizer_run, work_once

pytestmark = pytest.mark.django_db(transaction=True)


def a_chain(corpus) -> tuple[Run, Run]:
    first = a_tokenizer_run(corpus)
    inputs = {"tokenizer": first, "corpus": corpus.artifact}
    return first, start_run("pretrain", recipe={}, preset="tiny", inputs=inputs, user=None)


def let_the_lease_run_out(run_id) -> None:
    Run.objects.filter(pk=run_id).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_what_people_wait_for_goes_first_and_then_the_oldest(corpus):
    background = a_tokenizer_run(corpus, priority=Priority.BACKGROUND)
    old, young = a_tokenizer_run(corpus), a_tokenizer_run(corpus)
    urgent = a_tokenizer_run(corpus, priority=Priority.PEOPLE_WAIT)
    order = [claim_next(worker="w").run_id for _ in range(4)]
    assert order == [urgent.pk, old.pk, young.pk, background.pk]
    assert claim_next(worker="w") is None


def test_a_run_waits_until_what_it_needs_has_succeeded(corpus, trainer):
    first, second = a_chain(corpus)
    Run.objects.filter(pk=second.pk).update(priority=1)
    assert work_once().pk == first.pk
    run = work_once()
    assert (run.pk, run.state) == (second.pk, RunState.SUCCEEDED)
    assert run.inputs.get(name="tokenizer").artifact == Run.objects.get(pk=first.pk).output.artifact


def test_what_waits_for_a_failed_run_fails_with_it_and_says_so(corpus, trainer):
    trainer("refuse")
    first, second = a_chain(corpus)
    work_once()
    second.refresh_from_db()
    assert (second.state, second.failure_code) == (RunState.FAILED, "upstream_failed")
    assert first.title in second.failure


@pytest.mark.slow
def test_a_failed_chain_is_resumed_from_its_beginning(corpus, trainer):
    trainer("refuse")
    first, second = a_chain(corpus)
    work_once()
    with pytest.raises(Conflict, match="Resume that first"):
        resume_run(second, user=None)
    resume_run(first, user=None)
    resume_run(second, user=None)
    trainer("count:2")
    assert [work_once().state, work_once().state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_cancelling_a_queued_run_ends_it_and_what_waits_for_it_at_once(ada, corpus):
    first, second = a_chain(corpus)
    assert request_cancel(first, user=ada).state == RunState.CANCELLED
    second.refresh_from_db()
    assert second.failure_code == "upstream_failed"
    with pytest.raises(Conflict, match="ended already"):
        request_cancel(first, user=ada)


def test_a_dead_lease_puts_the_run_back_and_its_old_claim_writes_nothing_more(corpus):
    run = a_tokenizer_run(corpus)
    late = claim_next(worker="late")
    let_the_lease_run_out(run.pk)
    assert sweep().lost == 1
    current = claim_next(worker="current")
    assert current.fence == late.fence + 1
    event = Said(1, timezone.now(), "log", {"text": "too late"})
    for write in (lambda: renew(late), lambda: copy_events(late, [event])):
        with pytest.raises(LeaseLost):
            write()
    assert change_state(late.held, run.pk, to=RunState.SUCCEEDED, because="Done.") is None
    assert not RunEvent.objects.filter(kind="log").exists()
    copy_events(current, [event])
    assert RunEvent.objects.filter(kind="log").count() == 1


def test_a_batch_that_was_written_already_is_not_written_again(corpus):
    a_tokenizer_run(corpus)
    claim = claim_next(worker="w")
    events = [Said(seq, timezone.now(), "log", {"text": str(seq)}) for seq in (1, 2)]
    copy_events(claim, events)
    with pytest.raises(LeaseLost):
        copy_events(claim, events)
    assert RunEvent.objects.filter(kind="log").count() == 2


def test_a_run_that_loses_three_workers_is_given_up_with_the_reason(corpus):
    run = a_tokenizer_run(corpus)
    for _ in range(3):
        assert claim_next(worker="doomed") is not None
        let_the_lease_run_out(run.pk)
        sweep()
    run.refresh_from_db()
    assert (run.state, run.failure_code, run.attempt) == (RunState.FAILED, "worker_lost", 3)
    assert "doomed was lost" in run.failure


def test_a_lost_run_that_was_to_be_cancelled_is_cancelled(corpus):
    run = a_tokenizer_run(corpus)
    claim_next(worker="w")
    request_cancel(run, user=None)
    let_the_lease_run_out(run.pk)
    sweep()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


def test_no_state_changes_in_a_way_that_is_not_in_the_table(corpus):
    run = a_tokenizer_run(corpus)
    for state in RunState:
        for to in RunState:
            fields = {"failure_code": "x" if state == RunState.FAILED else "", "lease_until": timezone.now()}
            Run.objects.filter(pk=run.pk).update(state=state, **fields)
            more = {"failure_code": "x"} if to == RunState.FAILED else {"lease_until": timezone.now()}
            more = more if to in (RunState.FAILED, RunState.RUNNING) else {}
            changed = change_state(Run.objects.all(), run.pk, to=to, because="A test.", **more)
            assert (changed is not None) == (to in TRANSITIONS[state]), (state, to)


def test_a_sweep_mends_what_a_lost_moment_left_stranded(corpus):
    first, second = a_chain(corpus)
    Run.objects.filter(pk=first.pk).update(state=RunState.FAILED, failure_code="crashed")  # as if nobody had seen to it
    assert sweep().stranded == 1
    second.refresh_from_db()
    assert second.failure_code == "upstream_failed"
