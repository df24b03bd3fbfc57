"""Constitutions made, and their drafts: begun, saved whole, let go. What is published stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models, transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext

from accounts.errors import Conflict
from accounts.models import User
from audit.services import record
from rlhf.models import Constitution, ConstitutionVersion, Principle, VersionState
from rlhf.services.constitutions.wording import (
    LONGEST_NAME,
    LONGEST_PURPOSE,
    BadConstitution,
    Wording,
    checked_wordings,
    plain_text,
    wordings_in,
)

RESERVED = ("new", "import")  # what addresses have where a constitution's slug would stand


class NameTaken(Conflict):
    code = "name_taken"


class Frozen(Conflict):
    """It is published: the next change is the next version."""

    code = "published"


class EditedMeanwhile(Conflict):
    """Somebody saved this draft after it was read; `data["edits"]` is the count of now."""

    code = "edited_meanwhile"


class HasDraft(Conflict):
    code = "has_draft"


def create_constitution(name: str, *, purpose: str, user: User | None) -> Constitution:
    """With an empty draft of version 1. Raises `BadConstitution`, `NameTaken`."""
    name = plain_text(name, what="name", most=LONGEST_NAME, is_needed=True)
    purpose = plain_text(purpose, what="purpose", most=LONGEST_PURPOSE)
    slug = slugify(name)[:LONGEST_NAME]
    if not slug or slug in RESERVED:
        told = gettext("A constitution can't be called %(name)s: its address needs another word.") % {"name": name}
        raise BadConstitution(told, code="bad_name", field="name")
    with transaction.atomic():
        made, is_new = Constitution.objects.get_or_create(
            slug=slug, defaults={"name": name, "purpose": purpose, "created_by": user}
        )
        if not is_new:
            told = gettext("A constitution is called %(name)s or much like it. Choose another name.") % {"name": name}
            raise NameTaken(told, field="name")
        ConstitutionVersion.objects.create(constitution=made, number=1, edited_by=user)
        record("constitution.created", actor=user, target=made, name=name)
    return made


def begin_draft(constitution: Constitution, *, user: User | None) -> ConstitutionVersion:
    """The next version, with the principles of the newest published one. Raises `HasDraft`."""
    with transaction.atomic():
        lock(constitution)
        if constitution.versions.filter(state=VersionState.DRAFT).exists():
            told = gettext("%(name)s has a draft already: go on with that one.") % {"name": constitution.name}
            raise HasDraft(told)
        last = newest_published(constitution)
        number = 1 + (constitution.versions.aggregate(last=models.Max("number"))["last"] or 0)
        draft = ConstitutionVersion.objects.create(constitution=constitution, number=number, edited_by=user)
        write_principles(draft, wordings_in(last) if last else ())
        record("constitution.draft_begun", actor=user, target=constitution, number=number)
    return draft


def save_draft(
    draft: ConstitutionVersion,
    *,
    wordings: Sequence[Wording],
    seen: int,
    user: User | None,
    note: str | None = None,
    purpose: str | None = None,
) -> ConstitutionVersion:
    """The draft as it is to be from now on: edited, added, removed and ordered in one go, all of it or nothing.

    `seen` is the count of edits that it was read at. Raises `BadConstitution`, `Frozen`, `EditedMeanwhile`.
    """
    checked = checked_wordings(wordings)
    told = {} if note is None else {"note": plain_text(note, what="note", most=LONGEST_PURPOSE)}
    if purpose is not None:
        purpose = plain_text(purpose, what="purpose", most=LONGEST_PURPOSE)
    with transaction.atomic():
        take(draft, seen=seen, user=user, **told)
        draft.principles.all().delete()
        write_principles(draft, checked)
        if purpose is not None:
            Constitution.objects.filter(pk=draft.constitution_id).update(purpose=purpose)
        record(
            "constitution.draft_saved", actor=user, target=draft.constitution, number=draft.number,
            edits=draft.edits, num_principles=len(checked),
        )  # fmt: skip
    return draft


def drop_draft(draft: ConstitutionVersion, *, seen: int, user: User | None) -> None:
    """Lets it go; nothing else knew of it. Raises `Frozen`, `EditedMeanwhile`, `BadConstitution` for the only version."""
    with transaction.atomic():
        take(draft, seen=seen, user=user)
        if not draft.constitution.versions.exclude(pk=draft.pk).exists():
            told = gettext("This is the only version: change it instead of letting it go.")
            raise BadConstitution(told, code="only_version", status=409)
        number = draft.number
        draft.delete()
        record("constitution.draft_dropped", actor=user, target=draft.constitution, number=number)


def take(draft: ConstitutionVersion, *, seen: int, user: User | None, **changes: object) -> None:
    """Counts an edit if it is still the draft that was seen. Its row is then ours until the transaction ends: two who
    save or publish at once do so one after the other, and the second is told. Raises `Frozen`, `EditedMeanwhile`."""
    taken = ConstitutionVersion.objects.filter(pk=draft.pk, state=VersionState.DRAFT, edits=seen).update(
        edits=models.F("edits") + 1, edited_by=user, edited_at=timezone.now(), **changes
    )
    if taken != 1:
        raise refusal(draft)
    draft.refresh_from_db()


def refusal(draft: ConstitutionVersion) -> Conflict:
    now = ConstitutionVersion.objects.select_related("edited_by").filter(pk=draft.pk).first()
    if now is None:
        return EditedMeanwhile(gettext("This draft was let go meanwhile. Nothing of yours was saved."), edits=0)
    if not now.is_draft:
        told = gettext("Version %(number)s is published and stays as it is. Begin a new version to change it.")
        return Frozen(told % {"number": now.number})
    if now.edited_by is None:
        told = gettext("This draft was saved anew after you opened it. Nothing of yours was saved.")
    else:
        told = gettext("%(name)s saved this draft after you opened it. Nothing of yours was saved.")
    return EditedMeanwhile(told % {"name": now.edited_by.username if now.edited_by else ""}, edits=now.edits)


def write_principles(draft: ConstitutionVersion, wordings: Sequence[Wording]) -> None:
    rows = []
    for position, wording in enumerate(wordings):
        row = wording.as_row()
        rows.append(Principle(version=draft, position=position, slug=row.pop("id"), **row))
    Principle.objects.bulk_create(rows)


def lock(constitution: Constitution) -> None:
    """Versions of one constitution are begun one after the other."""
    Constitution.objects.select_for_update().get(pk=constitution.pk)


def newest_published(constitution: Constitution) -> ConstitutionVersion | None:
    return constitution.versions.filter(state=VersionState.PUBLISHED).order_by("-number").first()
