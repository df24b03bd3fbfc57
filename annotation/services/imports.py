"""Imports by way of a page or the API: the file is kept while a person looks at the dry run, then imported or let go."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts.errors import Conflict
from accounts.models import User
from annotation.importing.bringing import Report, as_dict, bring, dry_run
from annotation.importing.opening import LARGEST_FILE, too_large
from annotation.models import Campaign, Import, ImportState
from audit.services import record
from registry.services.artifacts import told_if_full

LONGEST_NAME = 120
KEPT_FOR = timedelta(days=1)  # without a word


class NotWaiting(Conflict):
    code = "import_not_waiting"


def check(
    campaign: Campaign, file: UploadedFile[Any], *, user: User | None, format: str = "", is_simulated: bool = False
) -> Import:
    """Keeps the file and says what would come of it. Raises `BadFile`, `DiskFull`; then nothing is kept."""
    refuse_large(file)
    brought = Import(campaign=campaign, file_name=name_of(file), is_simulated=is_simulated, created_by=user)
    folder = folder_of(brought)
    try:
        brought.sha256, brought.size = kept(file.chunks(), at=path_of(brought))
        report = dry_run(path_of(brought), campaign=campaign, format=format, is_simulated=is_simulated)
        brought.format, brought.report = report.format, as_dict(report)
        brought.save(force_insert=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return brought


def bring_upload(
    campaign: Campaign, file: UploadedFile[Any], *, user: User | None, format: str, is_simulated: bool, is_dry: bool,
    leaves_bad_out: bool,
) -> Report:  # fmt: skip
    """In one go, for programs. Raises `BadFile`, `BadLines`, `DiskFull`."""
    refuse_large(file)
    brought = Import(campaign=campaign, file_name=name_of(file))
    path = path_of(brought)
    try:
        kept(file.chunks(), at=path)
        if is_dry:
            return dry_run(path, campaign=campaign, format=format, is_simulated=is_simulated)
        return bring(
            path, campaign=campaign, user=user, format=format, is_simulated=is_simulated, leaves_bad_out=leaves_bad_out
        )
    finally:
        shutil.rmtree(folder_of(brought), ignore_errors=True)


def refuse_large(file: UploadedFile[Any]) -> None:
    if (file.size or 0) > LARGEST_FILE:
        raise too_large(status=413)


def name_of(file: UploadedFile[Any]) -> str:
    """The last part of its name, without what a path or a line could make of it."""
    name = "".join(sign for sign in Path(file.name or "").name if sign.isprintable()) or "file"
    return name[-LONGEST_NAME:]


def kept(chunks: Iterable[bytes], *, at: Path) -> tuple[str, int]:
    """Its sha256 and its size."""
    sha256, size = hashlib.sha256(), 0
    with told_if_full(gettext("uploads")):
        at.parent.mkdir(parents=True)
        with at.open("xb") as out:
            for chunk in chunks:
                sha256.update(chunk)
                size += len(chunk)
                out.write(chunk)
    return sha256.hexdigest(), size


def folder_of(brought: Import) -> Path:
    return Path(settings.UPLOADS_DIR) / "imports" / str(brought.pk)


def path_of(brought: Import) -> Path:
    """Of the upload's own name only the ending is kept, which says how to read it."""
    endings = "".join(Path(brought.file_name).suffixes[-2:]).lower()
    safe = "".join(sign for sign in endings if sign.isascii() and (sign.isalnum() or sign == "."))[-16:]
    return folder_of(brought) / f"file{safe if safe.startswith('.') else ''}"


def confirm(brought: Import, *, user: User | None, leaves_bad_out: bool = False) -> Report:
    """Imports the file that was checked, once however often it is asked for. Raises `NotWaiting`, `BadFile`, `BadLines`."""
    path = path_of(brought)
    if brought.state == ImportState.CHECKED and not path.is_file():
        raise NotWaiting(gettext("%(name)s is not here any more: bring it again.") % {"name": brought.file_name})
    with transaction.atomic():
        waiting = Import.objects.filter(pk=brought.pk, state=ImportState.CHECKED)
        if waiting.update(state=ImportState.DONE, ended_at=timezone.now()) != 1:
            raise spoken_of(brought)
        report = bring(
            path, campaign=brought.campaign, user=user, format=brought.format, is_simulated=brought.is_simulated,
            leaves_bad_out=leaves_bad_out,
        )  # fmt: skip
        Import.objects.filter(pk=brought.pk).update(report=as_dict(report))
    shutil.rmtree(folder_of(brought), ignore_errors=True)
    return report


def let_go(brought: Import, *, user: User | None) -> None:
    """Raises `NotWaiting`."""
    with transaction.atomic():
        waiting = Import.objects.filter(pk=brought.pk, state=ImportState.CHECKED)
        if waiting.update(state=ImportState.DROPPED, ended_at=timezone.now()) != 1:
            raise spoken_of(brought)
        record("campaign.import_dropped", actor=user, target=brought.campaign, file=brought.file_name)
    shutil.rmtree(folder_of(brought), ignore_errors=True)


def spoken_of(brought: Import) -> NotWaiting:
    return NotWaiting(gettext("%(name)s was imported or let go before.") % {"name": brought.file_name})


def sweep_imports() -> int:
    """Lets go of files about which nobody has said a word for a day, and of what a killed process left; says of how many."""
    late = list(Import.objects.filter(state=ImportState.CHECKED, created_at__lt=timezone.now() - KEPT_FOR))
    for brought in late:
        Import.objects.filter(pk=brought.pk, state=ImportState.CHECKED).update(
            state=ImportState.DROPPED, ended_at=timezone.now()
        )
        shutil.rmtree(folder_of(brought), ignore_errors=True)
    return len(late)
