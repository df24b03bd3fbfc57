"""The pages of runs: the queue, a run as it goes on, the form that starts one, and runs beside each other."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from registry.models import Artifact
from runs.curves import MOST_POINTS, charts_of, curves_of
from runs.models import EventKind, Run, RunEvent, RunOutput, RunState
from runs.services.start import start_run
from tests.accounts.people import client_of, person
from tests.registry.factories import model_folder
from tests.runs.conftest import a_dataset, a_model, a_tokenizer_run, an_artifact, work_once
from training.recipes import RECIPES

UNKNOWN = uuid.UUID(int=7)

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(ada) -> Client:
    return client_of(ada)


@pytest.fixture
def rex() -> Client:
    return client_of(person(Role.RESEARCHER))


def page(client: Client, name: str, *args: object, query: str = "", **headers: str) -> str:
    answer = client.get(reverse(name, args=args) + query, headers=headers)
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def say(run: Run, *events: tuple[str, dict[str, object]]) -> None:
    """As if the run had said so."""
    last = run.events.order_by("-seq").first()
    for seq, (kind, payload) in enumerate(events, start=last.seq + 1 if last else 1):
        RunEvent.objects.create(run=run, seq=seq, at=timezone.now(), kind=kind, payload=payload)


def metric(step: int, **values: float) -> tuple[str, dict[str, object]]:
    return EventKind.METRIC, {"step": step, "values": values}


def fail(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, failure_code="out_of_memory", failure="Memory ran out.", advice="Take fewer rows a step."
    )


def under_way(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, lease_until=timezone.now(), phase="train", step=1200, total=6000, unit="steps", rate=2.0,
        eta_s=2400.0,
    )  # fmt: skip


# --- the queue


def test_the_list_shows_states_and_filters_by_them(rex, corpus):
    waits, failed = a_tokenizer_run(corpus, title="Waits"), a_tokenizer_run(corpus, title="Broke")
    fail(failed)
    shown = page(rex, "runs")
    assert "1 queued" in shown and "Memory ran out." in shown
    assert waits.title not in page(rex, "runs", query="?state=failed")
    assert "No run yet" in page(rex, "runs", query="?method=dpo")


def test_estimates_and_trials_that_went_well_are_listed_where_they_are_asked_for(rex, corpus):
    went_well = {"state": RunState.SUCCEEDED, "finished_at": timezone.now()}
    probe, trial = a_tokenizer_run(corpus, title="Probe"), a_tokenizer_run(corpus, title="Trial")
    real, going = a_tokenizer_run(corpus, title="Real"), a_tokenizer_run(corpus, title="Going")
    Run.objects.filter(pk=probe.pk).update(is_estimate=True, **went_well)
    Run.objects.filter(pk=trial.pk).update(method="try_principle", **went_well)
    Run.objects.filter(pk=real.pk).update(**went_well)
    Run.objects.filter(pk=going.pk).update(is_estimate=True)
    listed = {name for name in ("Probe", "Trial", "Real", "Going") if f">{name}</a>" in page(rex, "runs")}
    assert listed == {"Real", "Going"}
    everything = page(rex, "runs", query="?shown=everything")
    assert all(f">{run.title}</a>" in everything for run in (probe, trial, real, going))
    assert ">Trial</a>" in page(rex, "runs", query="?method=try_principle")


def test_the_list_costs_the_same_however_many_runs_there_are(rex, corpus, ada, django_assert_num_queries):
    with django_assert_num_queries(60, exact=False) as before:
        page(rex, "runs")
    for _ in range(9):
        under_way(a_tokenizer_run(corpus, ada))
    with django_assert_num_queries(60, exact=False) as after:
        page(rex, "runs")
    assert len(after) == len(before)


def test_home_says_what_failed_and_what_goes_on(admin, corpus):
    broke, goes = a_tokenizer_run(corpus, title="Broke"), a_tokenizer_run(corpus, title="Goes on")
    fail(broke)
    Run.objects.filter(pk=broke.pk).update(finished_at=timezone.now())
    under_way(goes)
    shown = page(admin, "home")
    assert "Failed in the last week" in shown and "Memory ran out." in shown
    assert "train: 1,200 of 6,000 steps, 2 steps/s, about 40 min 00 s left" in shown


# --- one run


def test_a_queued_run_says_what_it_waits_for(rex, corpus, ada):
    first = a_tokenizer_run(corpus, title="First")
    second = start_run(
        "pretrain", recipe={}, preset="tiny", inputs={"corpus": corpus.artifact, "tokenizer": first}, user=ada
    )
    assert "0 before it in the queue" in page(rex, "run", first.pk)
    assert "Waits for <a" in page(rex, "run", second.pk)


def test_a_running_run_shows_phase_rate_and_time_left_after_any_reload(rex, corpus):
    run = a_tokenizer_run(corpus)
    under_way(run)
    say(run, (EventKind.WARNING, {"code": "rising", "sentence": "The held-out loss rises."}))
    for headers in ({}, {"HX-Request": "true"}):
        shown = page(rex, "run", run.pk, **headers)
        assert "1,200 of 6,000 steps, 2 steps/s, about 40 min 00 s left" in shown
        assert "The held-out loss rises." in shown
    assert "<html" not in shown  # of the part that htmx fetches


def test_a_failed_run_says_why_what_to_do_and_can_be_resumed_by_an_admin_alone(admin, rex, corpus):
    run = a_tokenizer_run(corpus)
    fail(run)
    shown = page(admin, "run", run.pk)
    assert "Memory ran out." in shown and "Take fewer rows a step." in shown and "Resume run" in shown
    assert "Resume run" not in page(rex, "run", run.pk)
    assert rex.post(reverse("run_resume", args=[run.pk])).status_code == 403
    assert admin.post(reverse("run_resume", args=[run.pk])).status_code == 302
    assert Run.objects.get().state == RunState.QUEUED


def test_cancelling_twice_is_told(admin, corpus):
    run = a_tokenizer_run(corpus)
    assert admin.post(reverse("run_cancel", args=[run.pk])).status_code == 302
    again = admin.post(reverse("run_cancel", args=[run.pk]))
    assert again.status_code == 409 and "ended already" in again.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_run_that_was_done_shows_what_it_made_and_said(admin, corpus, trainer):
    a_tokenizer_run(corpus, output_name="words")
    run = work_once()
    assert run.state == RunState.SUCCEEDED
    shown = page(admin, "run", run.pk)
    assert "Succeeded" in shown and "Figures at its end" in shown
    assert "addresses" in shown  # what it was made from
    charts = admin.get(reverse("run_curves", args=[run.pk])).json()["charts"]
    assert [len(series["points"]) for chart in charts for series in chart["series"]] == [5]
    told = admin.get(reverse("run_events", args=[run.pk]) + f"?after={run.last_seq - 1}").json()
    assert [event["seq"] for event in told["events"]] == [run.last_seq]


def test_what_a_model_wrote_is_shown_and_never_run(rex, corpus):
    run = a_tokenizer_run(corpus)
    hostile = "<script>alert(1)</script>"
    say(run, (EventKind.SAMPLE, {"step": 1, "prompt": hostile, "text": "old"}), (EventKind.LOG, {"text": hostile}))
    say(run, (EventKind.SAMPLE, {"step": 2, "prompt": hostile, "text": f"new {hostile}"}))
    shown = page(rex, "run", run.pk)
    assert hostile not in shown and "&lt;script&gt;" in shown
    assert shown.index("new &lt;") < shown.index("1 earlier") < shown.index("old")


def test_the_recipe_marks_what_differs_from_its_preset(rex, corpus, ada):
    run = start_run(
        "tokenizer", recipe={"vocab_size": 777}, preset="tiny", inputs={"corpus": corpus.artifact}, user=ada
    )
    assert "<mark>777</mark>" in page(rex, "run", run.pk)


def a_reward_run(ada, **recipe) -> Run:
    run = start_run(
        "reward", recipe=recipe, preset="tiny", user=ada, title="A judge", output_name="judge", seed=5,
        inputs={"model": a_model("base", role="base").artifact, "preferences": a_dataset("likes", kind="preference").artifact},
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, finished_at=timezone.now())
    return Run.objects.get(pk=run.pk)


def test_a_reward_model_is_trained_again_without_length_in_one_click(admin, rex, ada):
    run = a_reward_run(ada, epochs=2)
    address = reverse("run_without_length", args=[run.pk])
    assert address in page(admin, "run", run.pk)
    assert address not in page(rex, "run", run.pk)
    assert rex.post(address).status_code == 403

    answer = admin.post(address)
    again = Run.objects.exclude(pk=run.pk).get()
    assert answer.headers["Location"] == reverse("run", args=[again.pk])
    assert again.recipe == {**run.recipe, "debias_length": True}
    assert (again.preset, again.seed, again.output_name) == ("tiny", 5, "judge-no-length")
    given = [dict(one.inputs.values_list("name", "artifact_id")) for one in (run, again)]
    assert given[0] == given[1] and len(given[0]) == 2

    # Neither one that is not done yet, nor one whose scores have no length in them.
    assert "without-length" not in page(admin, "run", again.pk)
    assert admin.post(reverse("run_without_length", args=[again.pk])).status_code == 400
    Run.objects.filter(pk=again.pk).update(state=RunState.SUCCEEDED)
    assert "without-length" not in page(admin, "run", again.pk)


def an_evaluation(ada) -> Run:
    prompts = an_artifact("dataset")
    run = Run.objects.create(method="evaluate", title="Compare", recipe={}, queued_at=timezone.now(), created_by=ada)
    report = Artifact(kind="report", sha256=prompts.sha256, files={})
    report.folder.mkdir(parents=True)
    row = {"prompt_id": "1", "prompt": "Why?", "policy_text": "Because.", "reference_text": "Hm.", "policy_reward": 1.5,
           "reference_reward": 0.25}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row, row]), report.folder / "rows.parquet")
    report.save()
    RunOutput.objects.create(run=run, artifact=report)
    run.metrics = {"num_prompts": 1, "kl": 2.5, "kl_low": 2.0, "kl_high": 3.0, "win_rate": 0.67,
                   "reward_reference": 0.25, "reward_policy": 1.5, "reward_difference": 1.25,
                   "reward_difference_low": 1.0, "reward_difference_high": 1.5}  # fmt: skip
    run.state = RunState.SUCCEEDED
    run.save()
    return run


def test_an_evaluation_shows_differences_with_intervals_and_both_texts(rex, ada):
    shown = page(rex, "run", an_evaluation(ada).pk)
    assert "1.250" in shown and "1.000 to 1.500" in shown and "1 held-out prompts" in shown
    assert "95 %: 2.00 to 3.00, n = 1 prompts" in shown and "67%" in shown
    assert shown.count("Because.") == 1 and shown.count("Hm.") == 1  # a prompt is shown once


# --- curves


def test_a_resumed_run_draws_what_it_said_last(corpus):
    run = a_tokenizer_run(corpus)
    say(run, metric(1, loss=3.0), metric(2, loss=9.0), metric(3, loss=9.0), metric(2, loss=2.0), metric(3, loss=1.0))
    assert curves_of(run)["loss"].points == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_long_curve_is_thinned_and_keeps_its_spike(corpus):
    run = a_tokenizer_run(corpus)
    say(run, *(metric(step, loss=50.0 if step == 777 else 1.0) for step in range(2000)))
    points = curves_of(run)["loss"].points
    assert len(points) <= MOST_POINTS + 2
    assert (777, 50.0) in points


def test_held_out_curves_lie_on_their_trained_ones_and_single_numbers_are_no_curve(corpus):
    run = a_tokenizer_run(corpus)
    say(run, metric(1, loss=2.0, eval_loss=3.0, lr=0.1, once=1.0), metric(2, loss=1.0, lr=0.1))
    assert [[curve.name for curve in chart.curves] for chart in charts_of(run)] == [["loss", "eval_loss"], ["lr"]]


def test_bounds_are_a_band_of_what_they_bound_and_counts_are_no_curve(admin, corpus):
    run = a_tokenizer_run(corpus)
    say(run, *(metric(step, acc=0.5 + step / 10, acc_low=0.4, acc_high=0.9, n=70) for step in (1, 2)))
    (chart,) = admin.get(reverse("run_curves", args=[run.pk])).json()["charts"]
    (series,) = chart["series"]
    assert (series["points"], series["low"], series["high"]) == (
        [[1, 0.6], [2, 0.7]],
        [[1, 0.4], [2, 0.4]],
        [[1, 0.9], [2, 0.9]],
    )


# --- compare


def test_runs_beside_each_other_share_charts_and_show_where_they_differ(rex, corpus, ada):
    small = a_tokenizer_run(corpus, title="Small")
    large = start_run(
        "tokenizer", recipe={"vocab_size": 777}, inputs={"corpus": corpus.artifact}, user=ada, title="Large"
    )
    say(small, metric(1, loss=2.0, only_here=1.0))
    say(large, metric(1, loss=1.0))
    query = f"?run={small.pk}&run={large.pk}"
    shown = page(rex, "runs_compare", query=query)
    assert "<td>512</td><td>777</td>" in shown
    (chart,) = rex.get(reverse("runs_compare_curves") + query).json()["charts"]
    assert [(one["label"], one["points"]) for one in chart["series"]] == [("A", [[1, 2.0]]), ("B", [[1, 1.0]])]


@pytest.mark.parametrize(("query", "status"), [("?run=junk", 404), (f"?run={UNKNOWN}", 404), ("", 200)])
def test_a_comparison_of_nothing_is_told(rex, query, status):
    assert rex.get(reverse("runs_compare") + query).status_code == status


def test_more_than_four_runs_are_too_many(rex, corpus):
    query = "&".join(f"run={a_tokenizer_run(corpus).pk}" for _ in range(5))
    assert rex.get(f"{reverse('runs_compare')}?{query}").status_code == 400


def test_judgements_are_asked_of_no_campaign_and_their_run_opens(admin, ada):
    inputs = {name: a_dataset(name, kind=name).artifact for name in ("prompts", "completions", "constitution")}
    run = start_run("judge", recipe={"critic": "rules"}, preset="tiny", inputs=inputs, user=ada)
    RunOutput.objects.create(run=run, artifact=an_artifact("report", **{"report.json": "{}", "judgements.parquet": ""}))
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, metrics={"flip_rate": 0.25})
    assert "0.25" in page(admin, "run", run.pk)


# --- start one


def test_the_form_of_every_method_opens_with_its_presets(admin, rex):
    for method in RECIPES:
        assert "Start run" in page(admin, "launch", method)
    assert admin.get(reverse("launch", args=["alchemy"])).status_code == 404
    assert rex.get(reverse("launch", args=["dpo"])).status_code == 403


def test_a_run_is_started_from_the_form(admin, corpus):
    form = {"preset": "tiny", "corpus": corpus.artifact_id, "vocab_size": "600", "output_name": "words", "title": ""}
    answer = admin.post(reverse("launch", args=["tokenizer"]), form)
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("run", args=[run.pk])
    assert (run.recipe["vocab_size"], run.output_name, run.created_by.username) == (600, "words", "ada")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"vocab_size": "1"}, "greater than or equal to 300"),
        ({"vocab_size": "many"}, "valid integer"),
        ({"corpus": ""}, "Input corpus is missing"),
        ({"corpus": "junk"}, "is not here any more"),
        ({"output_name": "../x"}, "A name has letters"),
        ({"preset": "huge"}, "has no preset called huge"),
    ],
)
def test_a_bad_form_comes_back_with_what_is_wrong_and_what_was_typed(admin, corpus, wrong, told):
    form = {"preset": "tiny", "corpus": corpus.artifact_id, "vocab_size": "600", "title": "My title", **wrong}
    answer = admin.post(reverse("launch", args=["tokenizer"]), form)
    assert answer.status_code == 400
    assert told in answer.content.decode() and "My title" in answer.content.decode()
    assert not Run.objects.exists()


# --- import a model


def files_of(folder) -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def test_a_model_is_imported_from_its_files(admin, tmp_path, settings):
    form = {
        "name": "theirs",
        "role_of_model": "base",
        "dtype": "float32",
        "model_files": files_of(model_folder(tmp_path / "m")),
    }
    answer = admin.post(reverse("model_import"), form)
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("run", args=[run.pk])
    assert (run.method, run.output_name, run.recipe["role_of_model"]) == ("import_model", "theirs", "base")
    assert set(run.inputs.get().artifact.files) >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert list(settings.UPLOADS_DIR.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("pytorch_model.bin", b"\x80\x02", "is a pickle or an archive"),
        ("model.gguf", b"nothing", "does not begin as a GGUF file does"),
        ("notes.exe", b"MZ", "has no place in a model"),
    ],
)
def test_what_is_no_model_is_refused_on_the_form(admin, settings, name, content, told):
    form = {
        "name": "theirs",
        "role_of_model": "sft",
        "dtype": "float32",
        "model_files": SimpleUploadedFile(name, content),
    }
    answer = admin.post(reverse("model_import"), form)
    assert answer.status_code == 400 and told in answer.content.decode()
    assert not Run.objects.exists() and not Artifact.objects.exists()


def test_a_taken_name_and_a_missing_file_are_told_before_anything_is_kept(admin, rex):
    a_model("theirs", role="sft")
    answer = admin.post(reverse("model_import"), {"name": "theirs", "role_of_model": "sft", "dtype": "float32"})
    shown = answer.content.decode()
    assert answer.status_code == 400 and "The name theirs is taken" in shown and "This field is required" in shown
    assert rex.get(reverse("model_import")).status_code == 403
