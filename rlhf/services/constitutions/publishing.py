"""A draft becomes a published version: its principles a frozen dataset, its text nobody's to change any more."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import User
from audit.services import record
from registry.models import Artifact, DatasetKind, DatasetVersion
from registry.services.artifacts import discard
from registry.services.datasets import freeze_dataset
from rlhf.models import ConstitutionVersion, VersionState
from rlhf.services.constitutions.drafts import newest_published, refusal, take
from rlhf.services.constitutions.wording import BadConstitution, Wording, wordings_in


def publish(draft: ConstitutionVersion, *, seen: int, user: User | None, dataset_name: str = "") -> ConstitutionVersion:
    """Freezes the draft that was read at `seen` edits, as a dataset called SLUG-vNUMBER unless it is named.

    Raises `Frozen`, `EditedMeanwhile`, `BadConstitution`, and what `freeze_dataset` raises; then nothing has changed.
    """
    made: Artifact | None = None
    try:
        with transaction.atomic():
            take(draft, seen=seen, user=user)
            before = newest_published(draft.constitution)
            wordings = wordings_in(draft)
            check(wordings, before=before)
            dataset = freeze(draft, wordings, before=before, user=user, name=dataset_name or name_of(draft))
            made = dataset.artifact
            changed = ConstitutionVersion.objects.filter(pk=draft.pk, state=VersionState.DRAFT).update(
                state=VersionState.PUBLISHED, dataset=dataset, published_by=user, published_at=timezone.now()
            )
            if changed != 1:
                raise refusal(draft)
            record(
                "constitution.published", actor=user, target=draft.constitution, number=draft.number,
                dataset=dataset.name, rows_sha256=dataset.rows_sha256,
            )  # fmt: skip
    except BaseException:
        if made is not None:
            discard(made)  # its row is gone with the transaction, its folder is not
        raise
    draft.refresh_from_db()
    return draft


def check(wordings: tuple[Wording, ...], *, before: ConstitutionVersion | None) -> None:
    if not wordings:
        raise BadConstitution(gettext("There is no principle to publish."), code="no_principles")
    if before is not None and wordings_in(before) == wordings:
        told = gettext("Nothing is different from version %(number)s, so there is nothing to publish.")
        raise BadConstitution(told % {"number": before.number}, code="nothing_changed", status=409)


def freeze(
    draft: ConstitutionVersion,
    wordings: tuple[Wording, ...],
    *,
    before: ConstitutionVersion | None,
    user: User | None,
    name: str,
) -> DatasetVersion:
    constitution = draft.constitution
    return freeze_dataset(
        name, kind=DatasetKind.CONSTITUTION, splits={"train": [wording.as_row() for wording in wordings]}, user=user,
        query={"constitution": constitution.slug, "constitution_name": constitution.name, "version": draft.number},
        card="\n\n".join(text for text in (constitution.purpose, draft.note) if text),
        parents=[before.dataset] if before is not None and before.dataset is not None else [],
    )  # fmt: skip


def name_of(draft: ConstitutionVersion) -> str:
    return f"{draft.constitution.slug}-v{draft.number}"
