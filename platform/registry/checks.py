"""What must hold of the artifact store: each row has its folder as it was stored, and each folder its row."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from audit.invariants import invariant
from registry.models import Artifact, DatasetVersion
from registry.services.artifacts import STAGE, ArtifactDamaged, verify


@invariant("Each stored artifact is as it was stored.", of_files=True)
def artifacts() -> Iterator[str]:
    for artifact in Artifact.objects.order_by("created_at", "pk").iterator():
        try:
            verify(artifact)
        except ArtifactDamaged as error:
            yield error.sentence


@invariant("Each folder in the artifact store belongs to an artifact.", of_files=True)
def folders() -> Iterator[str]:
    store = Path(settings.ARTIFACTS_DIR)
    if not store.is_dir():
        return
    for path in sorted(store.iterdir()):
        if not path.name.startswith(STAGE) and not is_known(path.name):
            yield f"{path.name} in the artifact store"


def is_known(name: str) -> bool:
    try:
        return Artifact.objects.filter(pk=uuid.UUID(name)).exists()
    except ValueError:
        return False


@invariant("A dataset's count of rows is that of its splits.")
def dataset_rows() -> Iterator[str]:
    for dataset in DatasetVersion.objects.order_by("pk").only("name", "num_rows", "splits").iterator():
        if sum(dataset.splits.values()) != dataset.num_rows:
            yield f"dataset {dataset.name}"
