"""A disk that fills up under a run: told as what it is, nothing half published, and resumed once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.models import Artifact
from runs.models import Run, RunState
from runs.services.control import resume_run
from tests.runs.conftest import a_tokenizer_run, ada, corpus, short_times, trainer, work_once  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"mount is not allowed here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_fails_the_run_as_disk_full_and_it_can_be_resumed(corpus, trainer, settings, small_disk):  # noqa: F811
    settings.RUNS_DIR = small_disk / "runs"
    trainer("fill")
    a_tokenizer_run(corpus)
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "disk_full")
    assert "Free space" in run.advice
    (run.folder / "checkpoints" / "big").unlink()
    trainer("count:3")
    resume_run(run, user=None)
    assert work_once().state == RunState.SUCCEEDED


def test_a_disk_that_was_full_before_fails_the_run_without_a_process(corpus, trainer, settings, small_disk):  # noqa: F811
    settings.RUNS_DIR = small_disk / "runs"
    with pytest.raises(OSError, match="No space left"), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    a_tokenizer_run(corpus)
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "disk_full")
    assert Run.objects.get().events.filter(kind="state").count() == 3


def test_a_full_artifact_store_keeps_the_output_until_there_is_room(corpus, trainer, settings, small_disk):  # noqa: F811
    settings.ARTIFACTS_DIR = small_disk / "artifacts"
    queued = a_tokenizer_run(corpus)
    settings.ARTIFACTS_DIR.mkdir(exist_ok=True)
    with pytest.raises(OSError, match="No space left"), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    run = work_once()
    assert (run.state, run.failure_code) == (RunState.FAILED, "disk_full")
    assert not Artifact.objects.filter(kind="tokenizer").exists()
    (small_disk / "ballast").unlink()
    resume_run(queued, user=None)
    run = work_once()
    assert run.state == RunState.SUCCEEDED
    assert (run.output.artifact.folder / "config.json").exists()
