"""A measurement's page: figures side by side, what each model cost, which labels were taken for which; and who may take part."""

from __future__ import annotations

import json
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role, User
from registry.models import Artifact, ModelVersion
from runs.curves import charts_of
from runs.measures import confusions_of, measured_of
from runs.models import EventKind, Run, RunEvent, RunInput, RunOutput, RunState
from runs.services.inputs import BadInput
from runs.services.start import start_run
from tests.accounts.people import client_of, person
from tests.runs.conftest import a_dataset, a_model, an_artifact
from tests.runs.test_pages import page

CONFUSION = {"labels": ["early", "late"], "counts": [[40, 10], [5, 45]]}


def told(name: str, **fields: object) -> dict[str, object]:
    known = {
        "input": name,
        "title": name,
        "is_adapter": False,
        "is_task": False,
        "own_parameters": 1_000_000,
        "bytes": 4e6,
    }
    return known | fields


def a_measurement(user: User) -> Run:
    """Of a base model, one that was fine-tuned whole in four minutes, and an adapter; of a task model, too."""
    whole = Run.objects.create(
        method="sft", title="whole", recipe={}, queued_at=timezone.now(), created_by=user, state=RunState.SUCCEEDED,
        started_at=timezone.now() - timedelta(minutes=4), finished_at=timezone.now(),
    )  # fmt: skip
    models = {
        "model": a_model("before", role="base", method="pretrain"),
        "model_2": a_model("whole", role="sft", method="sft", run=whole.pk),
        "model_3": a_model("by-adapter", role="sft", method="sft"),
        "model_4": a_model("centuries", role="task", method="finetune"),
    }
    run = Run.objects.create(
        method="measure", title="Side by side", recipe={}, queued_at=timezone.now(), created_by=user,
        state=RunState.SUCCEEDED,
    )  # fmt: skip
    RunInput.objects.bulk_create(RunInput(run=run, name=name, artifact=one.artifact) for name, one in models.items())
    figures = {
        "model": {"corpus_bits_per_byte": 1.9, "answers_bits_per_byte": 2.5, "bleu": 2.0},
        "model_2": {"corpus_bits_per_byte": 2.1, "answers_bits_per_byte": 1.2, "bleu": 30.0, "forgetting": 0.2,
                    "forgetting_low": 0.15, "forgetting_high": 0.25},
        "model_3": {"corpus_bits_per_byte": 1.95, "answers_bits_per_byte": 1.4, "bleu": 25.0, "forgetting": 0.05},
        "model_4": {"accuracy": 0.85, "confusion": CONFUSION},
    }  # fmt: skip
    facts = {"model_3": {"is_adapter": True, "own_parameters": 20_000, "bytes": 80_000}, "model_4": {"is_task": True}}
    report = {
        "sets": {"corpus": {"title": "addresses", "rows": 300}},
        "models": [told(name, figures=figures[name], **facts.get(name, {})) for name in models],
    }
    artifact = Artifact(kind="report", sha256=an_artifact("dataset").sha256, files={})
    artifact.folder.mkdir(parents=True)
    (artifact.folder / "report.json").write_text(json.dumps(report))
    answers = {"id": "1", "prompt": "Why?", "reference": "So.", "model": "Hm.", "model_2": "Because.", "model_3": "As."}
    pq.write_table(pa.Table.from_pylist([answers]), artifact.folder / "rows.parquet")
    artifact.save()
    RunOutput.objects.create(run=run, artifact=artifact)
    return run


def test_models_stand_side_by_side_with_what_each_cost(ada):
    measured = measured_of(a_measurement(ada))
    assert measured is not None and measured.names == ("before", "whole", "by-adapter", "centuries")
    rows = {row.label: row.cells for row in measured.figures}
    bits = rows["Corpus, bits per byte"]
    assert [cell.value for cell in bits] == ["1.900", "2.100", "1.950", "–"]
    assert [cell.is_best for cell in bits] == [True, False, False, False]
    assert [cell.is_best for cell in rows["BLEU"]] == [False, True, False, False]
    assert rows["Forgotten: bits per byte above the first model"][1].interval == "+0.150 to +0.250"
    costs = {cost.name: (cost.trained, cost.minutes, cost.forgetting) for cost in measured.costs}
    assert costs["before"] == ("–", "–", "–")
    assert costs["whole"] == ("1,000,000", "4.0", "+0.200")
    assert costs["by-adapter"] == ("20,000", "–", "+0.050")
    assert measured.chart is not None and measured.chart["x"]["values"] == [20_000, 1_000_000]
    assert [series["values"] for series in measured.chart["series"]] == [[None, 1.2], [1.4, None]]


def test_a_figure_that_is_the_same_for_all_is_nobodys_best_and_no_quality_to_tell_them_by(ada):
    run = a_measurement(ada)
    report = run.output.artifact.folder / "report.json"
    changed = json.loads(report.read_text())
    for model in changed["models"][:3]:
        model["figures"]["exact_match"] = 0.0
    report.write_text(json.dumps(changed))
    measured = measured_of(run)
    assert measured is not None and measured.quality == "Answers, bits per byte"
    (row,) = (row for row in measured.figures if row.label == "Exact match")
    assert not any(cell.is_best for cell in row.cells)


def test_the_page_shows_it_all_and_asks_a_fixed_number_of_questions(ada, django_assert_max_num_queries):
    run = a_measurement(ada)
    with django_assert_max_num_queries(4):
        measured_of(run)
    rex = client_of(person(Role.RESEARCHER))
    shown = page(rex, "run", run.pk)
    assert "Models side by side" in shown and "+0.150 to +0.250" in shown and "Because." in shown
    assert "Confusion matrix: centuries" in shown and ">45<" in shown
    assert reverse("model", args=[ModelVersion.objects.get(name="whole").pk]) in shown


def test_models_are_no_steps_of_a_curve(ada):
    run = a_measurement(ada)
    for step in (1, 2):
        payload = {"step": step, "values": {"bleu": 2.0 * step}}
        RunEvent.objects.create(run=run, seq=step, at=timezone.now(), kind=EventKind.METRIC, payload=payload)
    assert charts_of(run) == []
    run.method = "sft"
    assert len(charts_of(run)) == 1


def test_a_fine_tuning_shows_which_labels_were_taken_for_which(ada):
    run = Run.objects.create(
        method="finetune", title="Centuries", recipe={}, queued_at=timezone.now(), created_by=ada,
        state=RunState.SUCCEEDED, metrics={"eval_confusion": CONFUSION},
    )  # fmt: skip
    (table,) = confusions_of(run)
    assert table.labels == ("early", "late") and table.rows == (("early", (40, 10)), ("late", (5, 45)))
    assert "Confusion matrix" in page(client_of(person(Role.RESEARCHER)), "run", run.pk)


def test_a_task_model_writes_nothing_and_is_refused_where_one_must(ada):
    task, base = a_model("labels", role="task"), a_model("base", role="base")
    labelled, talks = a_dataset("rows", kind="labelled"), a_dataset("talks", kind="instructions")
    for method, inputs in (
        ("sft", {"model": task, "instructions": talks}),
        ("finetune", {"model": task, "labelled": labelled}),
        ("measure", {"model": a_model("judge", role="reward"), "labelled": labelled}),
    ):
        with pytest.raises(BadInput, match="Input model must be a model"):
            start_run(method, recipe={}, preset="tiny", user=ada, inputs={n: one.artifact for n, one in inputs.items()})
    with pytest.raises(BadInput, match="must be a labelled dataset, not an instructions dataset"):
        start_run(
            "finetune", recipe={}, preset="tiny", user=ada, inputs={"model": base.artifact, "labelled": talks.artifact}
        )
    inputs = {"model": base.artifact, "model_2": task.artifact, "labelled": labelled.artifact}
    assert start_run("measure", recipe={}, preset="tiny", user=ada, inputs=inputs).state == RunState.QUEUED


def test_the_forms_offer_what_fits(ada):
    a_model("labels", role="task"), a_model("base", role="base"), a_model("judge", role="reward")
    admin = client_of(ada)
    finetune, measure = (admin.get(f"/runs/new/{method}/").content.decode() for method in ("finetune", "measure"))
    assert "base (" in finetune and "labels (" not in finetune and "judge (" not in finetune
    assert "base (" in measure and "labels (" in measure and "judge (" not in measure
