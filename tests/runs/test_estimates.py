"""What a run would cost, from the button to the page: a probe by a real child, and the run that it was asked about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from audit.models import AuditEvent
from registry.models import Artifact, DatasetVersion, ModelVersion
from registry.services.artifacts import store_folder
from registry.services.datasets import freeze_dataset
from runs.estimates import beside_estimate, cost_of
from runs.models import Run, RunOutput, RunState
from runs.services.estimate import ask_estimate, start_estimated
from runs.services.inputs import kind_of
from tests.accounts.people import client_of, person
from tests.runs.conftest import a_dataset, a_model, a_tokenizer_run, an_artifact, work_once
from tests.runs.test_commands import told

pytestmark = pytest.mark.django_db(transaction=True)

REPORT = {
    "seconds": 5400.0, "seconds_low": 4860.0, "seconds_high": 5940.0, "probe_seconds": 14.2, "flops": 3.2e14,
    "tokens_learned": 1_200_000, "tokens_read": 40_000, "memory": 3 * 2**30,
    "machine": {"host": "lab-1", "cores": 2, "memory": 24 * 2**30, "torch": "2.13"},
    "parts": [
        {"phase": "training", "unit": "steps", "total": 1200, "seconds": 5000.0, "timed": 9},
        {"phase": "evaluation", "unit": "rows", "total": 90_000, "seconds": 390.0, "timed": 64},
        {"phase": "once", "unit": "", "total": 1, "seconds": 10.0, "timed": 1},
    ],
}  # fmt: skip


@pytest.fixture
def admin(ada) -> Client:
    return client_of(ada)


@pytest.fixture
def given(db) -> dict[str, Artifact]:
    """Of a DPO."""
    return {
        "model": a_model("sft", role="sft").artifact,
        "preferences": a_dataset("rankings", kind="preference").artifact,
    }


def page(client: Client, run: Run) -> str:
    answer = client.get(reverse("run", args=[run.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def done(run: Run, **changes: object) -> Run:
    """As if its worker had done it."""
    report = {**REPORT, **changes}
    artifact = an_artifact("report", **{"estimate.json": json.dumps(report)})
    RunOutput.objects.create(run=run, artifact=artifact)
    metrics = {name: report[name] for name in ("seconds", "memory")}
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, metrics=metrics, attempt=1)
    return Run.objects.get(pk=run.pk)


@pytest.mark.slow(seconds=6)
def test_a_probe_tells_what_the_run_would_take_and_makes_nothing(admin, ada, settings, trainer, tmp_path):
    from tests.training.tiny import tokenizer  # torch takes seconds that the rest of this file need not wait

    fake = settings.TRAINING_COMMAND
    settings.TRAINING_COMMAND = [fake[0], "-m", "training", "run"]
    settings.RUN_TIMES["lease_s"] = settings.RUN_TIMES["stall_s"] = 300.0  # torch is loaded first
    tokenizer().save_pretrained(tmp_path / "words")
    words = store_folder(tmp_path / "words", kind="tokenizer")
    rows = [{"id": str(i), "text": f"It is so, and so it is number {i}. " * 9, "source": ""} for i in range(90)]
    texts = freeze_dataset("texts", kind="corpus", splits={"train": rows[:80], "test": rows[80:]}, user=ada)
    posted = {
        "preset": "tiny", "tokenizer": str(words.pk), "corpus": str(texts.artifact_id), "steps": "4000", "eval_every": "500",
        "hidden_size": "32", "num_layers": "1", "num_heads": "2", "context": "32", "batch_size": "4", "size": "as told",
        "architecture": "llama", "output_name": "tiny-base",
    }  # fmt: skip
    answer = admin.post(reverse("launch", args=["pretrain"]), {**posted, "estimate": "1"})
    assert answer.status_code == 302, answer.content.decode()
    run = work_once()
    assert run.state == RunState.SUCCEEDED, run.failure
    assert run.is_estimate and run.title == "Estimate of tiny-base"
    assert list(run.output.artifact.files) == ["estimate.json"]
    assert not ModelVersion.objects.exists() and not (run.folder / "checkpoints").exists()
    assert run.metrics["tokens_learned"] == 4000 * 4 * 32
    assert run.metrics["seconds_low"] < run.metrics["seconds"] < run.metrics["seconds_high"]
    assert run.used["seconds"] > 0 and run.used["memory"] > 0
    shown = page(admin, run)
    assert "What the run would take" in shown and "4,000 steps" in shown and "Start this run" in shown
    assert AuditEvent.objects.filter(action="run.estimate").count() == 1

    # Asked again, nothing is probed; the run itself tells what it took beside what was said.
    again = admin.post(reverse("launch", args=["pretrain"]), {**posted, "estimate": "1"})
    assert again.headers["Location"] == reverse("run", args=[run.pk])
    settings.TRAINING_COMMAND = fake
    assert admin.post(reverse("run_start_estimated", args=[run.pk])).status_code == 302
    real = work_once()
    assert (real.is_estimate, real.output_name, real.recipe["steps"]) == (False, "tiny-base", 4000)
    beside = beside_estimate(real)
    assert beside is not None and beside.estimate == run
    assert [row[0] for row in beside.rows] == ["Time", "Memory at its peak"]
    assert all(row[2] and row[3].endswith("%") for row in beside.rows)
    assert "Estimated and real" in page(admin, real) and "What it used of the machine" in page(admin, real)


def test_the_page_of_an_estimate_tells_time_memory_flops_and_price(admin, given, ada, settings):
    run = done(ask_estimate("dpo", recipe={}, inputs=given, user=ada))
    shown = page(admin, run)
    for said in ("1 h 30 min", "1 h 21 min to 1 h 39 min", "3.00 GiB", "of 24.00 GiB", "3.20e+14", "59.3 GFLOP/s",
                 "1,200 steps", "4.17 s", "4.33 ms", "lab-1: 2 cores"):  # fmt: skip
        assert said in shown, said
    assert "not known" in shown
    settings.PRICE_PER_HOUR = "2.40 EUR"
    assert cost_of(5400)[0] == "3.60 EUR" and "3.60 EUR" in page(admin, run)
    assert "At least" not in shown
    left = done(ask_estimate("dpo", recipe={"beta": 0.2}, inputs=given, user=ada), left_in="counting")
    assert "the probe ended in the phase “counting”" in page(admin, left)
    rex = client_of(person(Role.RESEARCHER))
    assert "Start this run" not in page(rex, run)
    for name in ("run_start_estimated", "run_estimate_anew"):
        assert rex.post(reverse(name, args=[run.pk])).status_code == 403


def test_an_estimate_is_asked_once_and_anew_on_demand(admin, given, ada):
    first = ask_estimate("dpo", recipe={}, inputs=given, user=ada)
    assert ask_estimate("dpo", recipe={"beta": 0.1}, inputs=given, user=ada) == first  # the default, told
    assert ask_estimate("dpo", recipe={"beta": 0.2}, inputs=given, user=ada) != first
    admin.post(reverse("run_estimate_anew", args=[first.pk]))
    assert Run.objects.filter(fingerprint=first.fingerprint).count() == 2
    Run.objects.filter(fingerprint=first.fingerprint).update(state=RunState.FAILED, failure_code="out_of_memory")
    assert ask_estimate("dpo", recipe={}, inputs=given, user=ada).state == RunState.QUEUED


def test_what_a_run_took_is_not_set_beside_an_estimate_where_it_was_resumed(given, ada):
    estimate = done(ask_estimate("dpo", recipe={}, inputs=given, user=ada))
    run = start_estimated(estimate, user=ada)
    assert beside_estimate(run).rows[0][1:] == ("1 h 30 min", "", "")
    used = {"seconds": 6000.0, "memory": 3.3 * 2**30}
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, attempt=1, used=used)
    run.refresh_from_db()
    assert beside_estimate(run).rows[0][1:] == ("1 h 30 min", "1 h 40 min", "-10 %")
    Run.objects.filter(pk=run.pk).update(attempt=2)
    run.refresh_from_db()
    assert beside_estimate(run).rows[0][1:] == ("1 h 30 min", "", "")


def test_an_estimate_is_no_output_of_its_method(admin, given, ada, corpus):
    estimate = done(ask_estimate("dpo", recipe={}, inputs=given, user=ada, output_name="policy-1"))
    assert kind_of(estimate) == "report"
    assert "Estimate of policy-1" not in admin.get("/").content.decode()
    assert start_estimated(estimate, user=ada).output_name == "policy-1"
    assert not DatasetVersion.objects.filter(name="policy-1").exists()


@pytest.mark.parametrize("method", ["ask", "import_model"])
def test_what_no_probe_can_tell_is_refused_with_a_reason(admin, method):
    assert "estimate" not in admin.get(reverse("launch", args=[method])).content.decode()
    answer = admin.post(reverse("launch", args=[method]), {"estimate": "1"})
    assert answer.status_code == 400 and "no_estimate" in answer.content.decode()


def test_an_estimate_waits_for_no_other_run(admin, corpus, ada):
    words = a_tokenizer_run(corpus)
    answer = client_of(ada).post(
        "/api/v1/runs/",
        {"method": "pretrain", "inputs": {"tokenizer": str(words.pk), "corpus": "addresses"}, "estimate": True},
        content_type="application/json",
    )
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "no_estimate", answer.content
    people = {"votes": {}, "lora": None}
    prompts = a_dataset("prompts", kind="prompts")
    form = {"model": str(a_model("base", role="sft").artifact_id), "prompts": str(prompts.artifact_id), "estimate": "1"}
    posted = admin.post(reverse("launch", args=["grpo"]), {**form, "votes": "on", "votes.deadline_minutes": "5"})
    assert "how long they take" in posted.content.decode(), people


def test_the_command_probes_too(corpus, trainer):
    answer = told("run", "tokenizer", "--input", "corpus=addresses", "--estimate", "--here")
    assert answer["state"] == "succeeded" and Run.objects.get().is_estimate
    assert answer["metrics"]["seconds"] > 0 and "model" not in answer


def test_without_memory_a_probe_says_so_in_one_sentence(admin, given, ada, trainer):
    trainer("starve")
    ask_estimate("dpo", recipe={}, inputs=given, user=ada)
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "out_of_memory")
    assert "needs more memory than this machine has free" in page(admin, run)
    assert run.used["memory"] > 0


def test_a_folder_is_told_that_it_is_probed(given, ada, trainer):
    trainer("look")
    run = ask_estimate("dpo", recipe={}, inputs=given, user=ada)
    work_once()
    assert json.loads((Path(run.folder) / "spec.json").read_text())["is_estimate"] is True
