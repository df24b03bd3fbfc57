"""What a run's coach said, on its page and in the API."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from runs.coach import SEVERITIES, coached, finding_of
from runs.models import EventKind, Run, RunState
from tests.accounts.people import client_of, person
from tests.runs.conftest import a_tokenizer_run
from tests.runs.test_pages import page, say, under_way
from training.mechanics.coach.earned import constant_reward
from training.mechanics.coach.policies import far_from_reference
from training.mechanics.coach.seen import Seen

pytestmark = pytest.mark.django_db

FAR = far_from_reference([20.0] * 3, target=2.0)
assert FAR is not None


@pytest.fixture
def rex() -> Client:
    return client_of(person(Role.RESEARCHER))


def found(step: int = 3) -> tuple[str, dict[str, object]]:
    return EventKind.WARNING, FAR.as_payload(step=step)


def test_a_finding_says_what_was_seen_why_and_what_to_try(rex, corpus):
    run = a_tokenizer_run(corpus)
    under_way(run)
    say(run, (EventKind.WARNING, {"code": "left_out_long", "sentence": "Three texts were left out."}), found())
    shown = page(rex, "run", run.pk)
    assert "20.0 nats a completion" in shown and "Likely cause" in shown and "What to try" in shown
    assert "Lower the learning rate, or raise kl_coefficient." in shown
    assert shown.index("20.0 nats") < shown.index("Three texts were left out.")  # the newest first
    assert str(SEVERITIES["alarm"]) in shown and str(SEVERITIES["warning"]) in shown


def test_a_run_that_is_well_says_so_and_what_was_looked_at(rex, corpus):
    run = a_tokenizer_run(corpus)
    under_way(run)
    assert "Nothing stands out so far." in page(rex, "run", run.pk)
    say(run, (EventKind.LOG, {"text": "The coach looked at the loss.", "watched": ["the loss", "gradients"]}))
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
    assert "Nothing stands out. Looked at: the loss, gradients." in page(rex, "run", run.pk)


def test_a_run_that_was_never_looked_at_claims_nothing(rex, corpus):
    run = a_tokenizer_run(corpus)
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
    assert "Nothing stands out" not in page(rex, "run", run.pk)


def test_the_api_tells_findings(rex, corpus):
    run = a_tokenizer_run(corpus)
    say(run, found())
    (told,) = rex.get(reverse("api_run", args=[run.pk])).json()["findings"]
    assert (told["code"], told["severity"]) == ("far_from_reference", "alarm")
    assert told["seen"] == FAR.sentence and told["cause"] == FAR.cause and told["advice"] == FAR.advice


def test_a_hostile_sample_in_a_finding_is_shown_and_never_run(rex, corpus):
    run = a_tokenizer_run(corpus)
    hostile = "<script>alert(1)</script>"
    payload = FAR.as_payload(step=1) | {"template": "It says %(text)s.", "sentence": f"It says {hostile}."}
    say(run, (EventKind.WARNING, payload | {"figures": {"text": hostile}}))
    shown = page(rex, "run", run.pk)
    assert hostile not in shown and "&lt;script&gt;" in shown


def test_the_payload_of_training_is_what_is_read_here(corpus):
    told = Seen("ppo", {})
    for step in (4, 5, 6):
        told.add(step, {"reward": 0.0, "reward_std": 0.0})
    finding = constant_reward(told)
    assert finding is not None
    run = a_tokenizer_run(corpus)
    payload = finding.as_payload(step=6)
    say(run, (EventKind.WARNING, payload))
    (read,) = coached(run).findings
    assert read == finding_of(payload) and (read.since, read.severity) == (4, "alarm")
