"""The version that a run's output becomes: named, with its role and everything that it was made from."""

from __future__ import annotations

from registry.models import Artifact, ArtifactKind, DatasetVersion, ModelVersion
from registry.services.datasets import Tally, register_dataset
from registry.services.models import register_model
from registry.services.profiles import keep_profile
from runs.models import Run
from runs.services.inputs import role_of_output

ADAPTER = "adapter_config.json"


def make_version(run: Run, artifact: Artifact, *, tally: Tally | None) -> None:
    """Registers a model or a dataset; a profile is kept for its dataset's rows; a tokenizer or another report stays an artifact.

    Call it in the run's last transaction.
    """
    if artifact.kind == ArtifactKind.MODEL:
        make_model(run, artifact)
    elif artifact.kind == ArtifactKind.DATASET:
        make_dataset(run, artifact, tally=tally)
    elif run.method == "profile":
        for dataset in datasets_of(run):
            keep_profile(dataset, artifact=artifact, run=run.pk)


def make_model(run: Run, artifact: Artifact) -> ModelVersion:
    parents, datasets = models_of(run), datasets_of(run)
    # An adapter belongs to what it was trained on, a full model or an adapter: the input called "model".
    base = next((m for m in parents if m.artifact.used_by.filter(run=run, name="model").exists()), None)
    return register_model(
        free_name(run), role=role_of_output(run), artifact=artifact, base=base if ADAPTER in artifact.files else None,
        parents=parents, datasets=datasets, run=run.pk, method=run.method, user=run.created_by,
        num_parameters=int(run.metrics.get("num_parameters", 0)), is_simulated=is_simulated(parents, datasets),
    )  # fmt: skip


def make_dataset(run: Run, artifact: Artifact, *, tally: Tally | None) -> DatasetVersion:
    parents, models = datasets_of(run), models_of(run)
    return register_dataset(
        free_name(run), kind=role_of_output(run), artifact=artifact, tally=tally, parents=parents, models_used=models, run=run.pk,
        user=run.created_by, query={"method": run.method, "recipe": run.recipe},
        is_simulated=is_simulated(models, parents) or is_by_rules(run),
    )  # fmt: skip


def is_by_rules(run: Run) -> bool:
    """Whether a list of words stood in for the model that judges or revises, as programs do for raters."""
    return bool(run.recipe.get("critic") == "rules")


def models_of(run: Run) -> list[ModelVersion]:
    return list(ModelVersion.objects.filter(artifact__used_by__run=run).distinct().order_by("created_at", "pk"))


def datasets_of(run: Run) -> list[DatasetVersion]:
    return list(DatasetVersion.objects.filter(artifact__used_by__run=run).distinct().order_by("created_at", "pk"))


def is_simulated(models: list[ModelVersion], datasets: list[DatasetVersion]) -> bool:
    """What learned from simulated rankings passes that on to everything made from it."""
    return any(model.is_simulated for model in models) or any(dataset.is_simulated for dataset in datasets)


def free_name(run: Run) -> str:
    """The run's output name; where that was given to something else meanwhile, hours of work are not lost over it."""
    plain = run.output_name or f"{run.method.replace('_', '-')}-{str(run.pk)[:8]}"
    taken = ModelVersion.objects.filter(name=plain).exists() or DatasetVersion.objects.filter(name=plain).exists()
    return f"{plain[:110]}-{str(run.pk)[:8]}" if taken else plain
