"""What a successful run leaves: versions with lineage, hooks in the same transaction, nothing where it fails."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.errors import Conflict
from registry.models import Artifact, DatasetVersion, ModelVersion
from registry.services.artifacts import store_folder
from registry.services.datasets import freeze_dataset
from runs import publishing
from runs.models import Run, RunState
from runs.services.control import resume_run
from runs.services.inputs import kind_of
from runs.services.start import start_run
from runs.services.versions import make_version
from tests.runs.conftest import a_dataset, a_model, work_once
from training.contract import read_spec

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def hooks(monkeypatch):
    """The hooks of this test alone."""
    monkeypatch.setattr(publishing, "HOOKS", type(publishing.HOOKS)(list))


def sample(user=None, **fields):
    model, prompts = a_model("addresses-sft", role="sft", **fields), a_dataset("questions", kind="prompts")
    inputs = {"model": model.artifact, "prompts": prompts.artifact}
    return start_run("generate", recipe={}, preset="tiny", inputs=inputs, user=user, context={"campaign": 7})


def test_sampled_rows_become_a_dataset_that_names_model_and_prompts(trainer, hooks):
    queued = sample()
    run = work_once()
    assert run.state == RunState.SUCCEEDED, run.failure
    dataset = DatasetVersion.objects.get(run=run.pk)
    assert (dataset.kind, dataset.num_rows, dataset.name) == ("completions", 5, f"generate-{str(queued.pk)[:8]}")
    assert [parent.name for parent in dataset.parents.all()] == ["questions"]
    assert [model.name for model in dataset.models_used.all()] == ["addresses-sft"]


def test_a_hook_sees_the_run_its_artifact_and_its_manifest_once(trainer, hooks):
    seen = []
    publishing.publishes("generate")(
        lambda run, artifact, manifest: seen.append((run.context, artifact.kind, manifest["kind"]))
    )
    sample()
    work_once()
    assert seen == [({"campaign": 7}, "dataset", "dataset")]


def test_a_hook_that_refuses_fails_the_run_publishes_nothing_and_is_asked_again_on_resume(trainer, hooks):
    answers = [Conflict("The campaign is closed.", code="campaign_closed"), None]

    def hook(run, artifact, manifest) -> None:
        if answer := answers.pop(0):
            raise answer

    publishing.publishes("generate")(hook)
    sample()
    before = Artifact.objects.count()
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "campaign_closed")
    assert Artifact.objects.count() == before
    assert not DatasetVersion.objects.filter(run=run.pk).exists()
    resume_run(run, user=None)
    assert work_once().state == RunState.SUCCEEDED


def test_an_adapter_names_the_full_model_that_it_was_trained_on(ada, trainer, hooks):
    trainer("adapter")
    base, lessons = a_model("addresses-base", role="base"), a_dataset("lessons", kind="instructions")
    inputs = {"model": base.artifact, "instructions": lessons.artifact}
    start_run("sft", recipe={}, preset="tiny", inputs=inputs, user=ada, output_name="addresses-lora")
    assert work_once().state == RunState.SUCCEEDED
    assert ModelVersion.objects.get(name="addresses-lora").base == base


def test_a_stack_of_adapters_is_told_from_below_and_merged_it_keeps_its_role(trainer, hooks):
    base = a_model("addresses-base", role="base")
    sft = a_model("addresses-sft", role="sft", base=base)
    dpo = a_model("addresses-dpo", role="policy", base=sft)
    queued = start_run(
        "merge", recipe={}, preset="tiny", inputs={"model": dpo.artifact}, user=None, output_name="whole"
    )
    again = start_run("merge", recipe={}, preset="tiny", inputs={"model": queued}, user=None, output_name="again")
    assert kind_of(queued) == kind_of(again) == "model:policy"
    run = work_once()
    given = read_spec(run.folder).inputs["model"]
    assert given.folders == tuple(str(model.artifact.folder) for model in (base, sft, dpo))
    merged = ModelVersion.objects.get(name="whole")
    assert (merged.role, merged.base, merged.method) == ("policy", None, "merge")


def test_a_name_that_was_taken_meanwhile_does_not_cost_the_work(trainer, hooks):
    base, lessons = a_model("addresses-base", role="base"), a_dataset("lessons", kind="instructions")
    inputs = {"model": base.artifact, "instructions": lessons.artifact}
    start_run("sft", recipe={}, preset="tiny", inputs=inputs, user=None, output_name="addresses-sft")
    a_model("addresses-sft", role="sft")
    run = work_once()
    assert ModelVersion.objects.get(run=run.pk).name == f"addresses-sft-{str(run.pk)[:8]}"


def test_nothing_of_a_published_run_is_kept_twice(trainer, hooks):
    sample()
    run = work_once()
    assert not (run.folder / "output").exists()
    assert not (run.folder / "checkpoints").exists()
    assert (run.folder / "manifest.json").exists()


@pytest.mark.parametrize(("critic", "is_simulated"), [("rules", True), ("model", False)])
def test_rows_that_rules_revised_in_place_of_a_model_are_simulated(critic, is_simulated):
    run = Run.objects.create(
        method="constitutional", recipe={"critic": critic}, output_name="revised", queued_at=timezone.now()
    )
    said = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    rows = freeze_dataset("rows", kind="instructions", splits={"train": [{"id": "1", "messages": said}]}, user=None)
    make_version(run, store_folder(rows.artifact.folder, kind="dataset"), tally=None)
    assert DatasetVersion.objects.get(run=run.pk).is_simulated is is_simulated
