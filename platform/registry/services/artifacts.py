"""The artifact store: a folder goes in whole or not at all, under a name of ours, and can be verified ever after."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext

from accounts.errors import Conflict, UserError
from registry.models import Artifact
from training.contract import folder_files, sync_folder, tree_sha256

STAGE = ".stage-"  # begins the name of what is still being written
TORN_AFTER_S = 24 * 3600  # a stage this old belongs to nobody who still lives
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(UserError):
    code = "disk_full"
    status = 507


class NotStorable(UserError):
    code = "not_storable"


class ArtifactDamaged(Conflict):
    code = "artifact_damaged"


def store_folder(source: Path, *, kind: str, metrics: dict[str, Any] | None = None, move: bool = False) -> Artifact:
    """Copies (or moves) a folder into the store: staged, synced, renamed into place, then its row.

    Call it outside of a transaction where the folder is large: hashing takes time. Raises `NotStorable` for links and
    devices, `DiskFull` with nothing left behind (a folder that was to be moved stays where it was).
    """
    check_plain(source)
    artifact = Artifact(kind=kind, metrics=metrics or {})
    with new_stage() as stage:
        folder = stage / "folder"
        moved = move and _rename(source, folder)
        try:
            if not moved:
                _copy(source, folder)
            artifact.files = folder_files(folder)
            artifact.sha256 = tree_sha256(artifact.files)
            artifact.size = sum((folder / name).stat().st_size for name in artifact.files)
            _sync(folder)
            folder.rename(artifact.folder)
        except BaseException:
            if moved and folder.exists():
                folder.rename(source)
            raise
    sync_folder(artifact.folder.parent)
    try:
        artifact.save(force_insert=True)
    except BaseException:
        shutil.rmtree(artifact.folder, ignore_errors=True)
        raise
    if move and not moved:
        shutil.rmtree(source)  # copied from another file system
    return artifact


def discard(artifact: Artifact) -> None:
    """Throws away an artifact that nothing came to refer to."""
    folder = artifact.folder
    with suppress(DatabaseError):  # the transaction is broken, and its rollback takes the row away
        Artifact.objects.filter(pk=artifact.pk).delete()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_if_all_succeeds() -> Iterator[list[Artifact]]:
    """What the block appends is thrown away if it fails. Goes around its transaction: a rollback takes rows, and no folders."""
    made: list[Artifact] = []
    try:
        yield made
    except BaseException:
        for artifact in made:
            discard(artifact)
        raise


def verify(artifact: Artifact) -> None:
    """Reads every file again. Raises `ArtifactDamaged` naming the first that is missing, new, or not what was stored."""
    found = folder_files(artifact.folder)
    for name in sorted(found.keys() | artifact.files.keys()):
        if found.get(name) != artifact.files.get(name):
            if name not in found:
                sentence = gettext("%(name)s of artifact %(artifact)s is missing since it was stored.")
            elif name not in artifact.files:
                sentence = gettext("%(name)s of artifact %(artifact)s was added since it was stored.")
            else:
                sentence = gettext("%(name)s of artifact %(artifact)s was changed since it was stored.")
            raise ArtifactDamaged(sentence % {"name": name, "artifact": artifact.pk}, file=name)
    if tree_sha256(artifact.files) != artifact.sha256:
        raise ArtifactDamaged(
            gettext("The table of files of artifact %(artifact)s does not match its hash.") % {"artifact": artifact.pk}
        )


def check_plain(source: Path) -> None:
    """Raises `NotStorable` unless `source` is a folder of plain files: a link could point at what is not ours to keep."""
    if source.is_symlink() or not source.is_dir():
        raise NotStorable(gettext("%(name)s is not a folder.") % {"name": source.name})
    for path in sorted(source.rglob("*")):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            is_link = stat.S_ISLNK(mode)
            sentence = gettext("%(name)s is a symbolic link.") if is_link else gettext("%(name)s is no plain file.")
            raise NotStorable(sentence % {"name": path.relative_to(source).as_posix()}, file=path.name)


@contextmanager
def new_stage() -> Iterator[Path]:
    """A folder in the store that no artifact is named by, gone at the end. Raises `DiskFull`."""
    store = Path(settings.ARTIFACTS_DIR)
    stage = store / f"{STAGE}{uuid.uuid4()}"
    try:
        with told_if_full(gettext("the artifact store")):
            store.mkdir(parents=True, exist_ok=True)
            remove_torn_stages(store)
            stage.mkdir()
            yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def told_if_full(what: str) -> Iterator[None]:
    """Raises `DiskFull` where the block runs out of disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise DiskFull(gettext("The disk of %(what)s is full. Make room, then try again.") % {"what": what}) from error


def remove_torn_stages(store: Path) -> None:
    """Throws away what a process that was killed has left."""
    for stage in store.glob(f"{STAGE}*"):
        with suppress(FileNotFoundError):  # another process was quicker
            if time.time() - stage.stat().st_mtime > TORN_AFTER_S:
                shutil.rmtree(stage, ignore_errors=True)


def _rename(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    """As `shutil.copytree`, which would hide a full disk in an error without a number."""
    target.mkdir()
    for path in sorted(source.rglob("*")):
        into = target / path.relative_to(source)
        if path.is_dir():
            into.mkdir()
        else:
            shutil.copyfile(path, into)


def _sync(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
