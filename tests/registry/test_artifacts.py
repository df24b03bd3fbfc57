"""A folder is in the store whole or not at all: after a crash, a full disk, a link; and damage is found."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from django.conf import settings

from registry.models import Artifact
from registry.services.artifacts import (
    TORN_AFTER_S,
    ArtifactDamaged,
    DiskFull,
    NotStorable,
    store_folder,
    verify,
)
from registry.services.datasets import freeze_dataset
from registry.services.export import export_dataset
from tests.registry.factories import model_folder
from training.contract import folder_files, tree_sha256

pytestmark = pytest.mark.django_db


def left_in_the_store() -> list[str]:
    return sorted(path.name for path in Path(settings.ARTIFACTS_DIR).iterdir())


@pytest.mark.parametrize("move", [False, True])
def test_a_folder_is_stored_under_a_name_of_ours_with_the_hash_of_its_files(tmp_path, move):
    source = model_folder(tmp_path / "made")
    (source / "deep").mkdir()
    (source / "deep" / "x").write_text("x")
    files = folder_files(source)
    artifact = store_folder(source, kind="model", metrics={"loss": 1.5}, move=move)
    assert source.exists() is not move
    stored = Artifact.objects.get()
    assert (stored.files, stored.sha256, stored.metrics) == (files, tree_sha256(files), {"loss": 1.5})
    assert stored.size == sum((stored.folder / name).stat().st_size for name in files)
    assert left_in_the_store() == [str(artifact.pk)]
    verify(stored)


def test_the_same_files_have_the_same_hash(tmp_path):
    one, other = (store_folder(model_folder(tmp_path / name), kind="model") for name in ("one", "other"))
    assert one.sha256 == other.sha256 and one.pk != other.pk


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda f: (f / "config.json").write_text("[]"), r"config.json .* was changed"),
        (lambda f: (f / "config.json").unlink(), r"config.json .* is missing"),
        (lambda f: (f / "new.json").write_text("{}"), r"new.json .* was added"),
    ],
)
def test_damage_is_found_and_named(tmp_path, harm, told):
    artifact = store_folder(model_folder(tmp_path / "made"), kind="model")
    harm(artifact.folder)
    with pytest.raises(ArtifactDamaged, match=told):
        verify(artifact)


def test_links_and_devices_are_not_stored(tmp_path):
    for name, make in (("link", lambda p: p.symlink_to("/etc/passwd")), ("pipe", os.mkfifo)):
        source = model_folder(tmp_path / name)
        make(source / "extra")
        with pytest.raises(NotStorable, match="extra is"):
            store_folder(source, kind="model")
    (tmp_path / "alias").symlink_to(tmp_path / "link")
    with pytest.raises(NotStorable):
        store_folder(tmp_path / "alias", kind="model")
    assert not Artifact.objects.exists() and not Path(settings.ARTIFACTS_DIR).exists()


def test_what_a_killed_process_left_is_no_artifact_and_goes_in_time(tmp_path):
    store = Path(settings.ARTIFACTS_DIR)
    torn, fresh = store / ".stage-torn", store / ".stage-fresh"
    for stage in (torn, fresh):
        (stage / "folder").mkdir(parents=True)
        (stage / "folder" / "half").write_text("x")
    long_ago = time.time() - TORN_AFTER_S - 60
    os.utime(torn, (long_ago, long_ago))
    artifact = store_folder(model_folder(tmp_path / "made"), kind="model")
    assert left_in_the_store() == sorted([".stage-fresh", str(artifact.pk)])  # another process may be writing that


def test_a_row_that_cannot_be_written_takes_its_folder_with_it(tmp_path):
    with pytest.raises(Exception, match="artifact_has_a_known_kind"):
        store_folder(model_folder(tmp_path / "made"), kind="poem")
    assert left_in_the_store() == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_nothing_half_written_is_left(small_disk, tmp_path, settings, rex):
    settings.ARTIFACTS_DIR = small_disk / "artifacts"
    source = model_folder(tmp_path / "made")
    (source / "tokenizer.json").write_bytes(os.urandom(2 * 2**20))
    with pytest.raises(DiskFull) as full:
        store_folder(source, kind="model", move=True)
    assert (full.value.code, full.value.status) == ("disk_full", 507)
    assert source.exists() and left_in_the_store() == [] and not Artifact.objects.exists()
    rows = ({"id": str(i), "text": os.urandom(50_000).hex(), "source": ""} for i in range(60))
    with pytest.raises(DiskFull):
        freeze_dataset("large", kind="corpus", splits={"train": rows}, user=rex)
    assert left_in_the_store() == [] and not Artifact.objects.exists()
    (source / "tokenizer.json").write_text("{}")
    verify(store_folder(source, kind="model"))  # there is room again, and nothing needs mending


def test_an_export_onto_a_full_disk_leaves_no_folder(small_disk, rex):
    rows = [{"id": str(i), "text": os.urandom(50_000).hex(), "source": ""} for i in range(30)]
    dataset = freeze_dataset("large", kind="corpus", splits={"train": rows}, user=rex)
    with pytest.raises(DiskFull):
        export_dataset(dataset, fmt="trl-jsonl", out=small_disk / "out")
    assert list(small_disk.iterdir()) == []
