"""Inputs for runs, a trainer that only counts, and times short enough to wait for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.models import Role, User
from registry.models import Artifact, DatasetVersion, ModelVersion
from runs.models import Run
from runs.services.claim import claim_next
from runs.services.start import start_run
from runs.services.supervise import supervise
from training import contract

TRAINER = Path(__file__).with_name("trainer.py")
TIMES = {"heartbeat_s": 0.1, "lease_s": 5.0, "cancel_grace_s": 0.5, "stall_s": 60.0}


@pytest.fixture(autouse=True)
def short_times(settings):
    settings.RUN_TIMES = dict(TIMES)
    settings.TRAINING_THREADS = 1


@pytest.fixture
def trainer(settings) -> Callable[[str], None]:
    """`trainer("count:20")` makes every run of this test do that."""

    def choose(behaviour: str) -> None:
        settings.TRAINING_COMMAND = [sys.executable, str(TRAINER), behaviour]

    choose("count:5")
    return choose


@pytest.fixture
def ada(db) -> User:
    return User.objects.create(username="ada", role=Role.ADMIN)


@pytest.fixture
def corpus(db) -> DatasetVersion:
    return a_dataset("addresses", kind="corpus")


def an_artifact(kind: str, **files: str) -> Artifact:
    """A small folder in the store."""
    artifact = Artifact(kind=kind)
    artifact.folder.mkdir(parents=True)
    for name, text in (files or {"config.json": "{}"}).items():
        (artifact.folder / name).write_text(text)
    artifact.files = contract.folder_files(artifact.folder)
    artifact.sha256 = contract.tree_sha256(artifact.files)
    artifact.save()
    return artifact


def a_dataset(name: str, *, kind: str, **fields: object) -> DatasetVersion:
    return DatasetVersion.objects.create(
        name=name, kind=kind, artifact=an_artifact("dataset"), rows_sha256="0", **fields
    )


def a_model(name: str, *, role: str, **fields: object) -> ModelVersion:
    return ModelVersion.objects.create(name=name, role=role, artifact=an_artifact("model"), **fields)


def a_tokenizer_run(corpus: DatasetVersion, user: User | None = None, **fields: object) -> Run:
    return start_run("tokenizer", recipe={}, preset="tiny", inputs={"corpus": corpus.artifact}, user=user, **fields)


def work_once(**options: object) -> Run:
    """Claims the best run, sees it through, and returns it as it is then."""
    claim = claim_next(worker="here")
    assert claim is not None, "there was nothing to claim"
    supervise(claim, **options)
    return Run.objects.get(pk=claim.run_id)
