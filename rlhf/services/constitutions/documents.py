"""A constitution as a JSON document: written from a version, and read from a file that is hostile until it was checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from accounts.models import User
from audit.services import record
from rlhf.models import Constitution, ConstitutionVersion, VersionState
from rlhf.services.constitutions.drafts import begin_draft, create_constitution, lock, newest_published, save_draft
from rlhf.services.constitutions.wording import (
    LONGEST_NAME,
    LONGEST_PURPOSE,
    BadConstitution,
    Wording,
    plain_text,
    read_wordings,
    wordings_in,
)

FORMAT = "steadyhand-constitution-1"
LARGEST = 2**20  # bytes
TEXTS = ("name", "purpose", "note")


@dataclass(frozen=True, slots=True)
class Document:
    name: str
    purpose: str
    note: str
    wordings: tuple[Wording, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """`is_new` is not so where the newest published version has these very principles: then it is that one."""

    version: ConstitutionVersion
    is_new: bool


def export_document(version: ConstitutionVersion) -> dict[str, Any]:
    """What `import_document` takes back: the same principles make the same document, and the same dataset."""
    constitution = version.constitution
    return {
        "format": FORMAT, "name": constitution.name, "purpose": constitution.purpose, "note": version.note,
        "principles": [wording.as_row() for wording in wordings_in(version)],
    }  # fmt: skip


def export_bytes(version: ConstitutionVersion) -> bytes:
    return (json.dumps(export_document(version), ensure_ascii=False, indent=2) + "\n").encode()


def read_bytes(content: bytes) -> Document:
    """Raises `BadConstitution`."""
    if len(content) > LARGEST:
        raise too_large()
    try:
        given = json.loads(content.decode("utf-8-sig"), object_pairs_hook=each_once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        told = gettext("This is no JSON that can be read: a constitution is one JSON object in UTF-8.")
        raise BadConstitution(told, code="bad_json") from error
    return read_document(given)


def too_large() -> BadConstitution:
    told = gettext("A constitution's file has at most %(most)s MiB.") % {"most": LARGEST // 2**20}
    return BadConstitution(told, code="too_large", status=413)


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What stands twice would be one thing to a person and another to a program."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def read_document(given: Any) -> Document:
    """Raises `BadConstitution`."""
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        told = gettext("This is no constitution: it is an object whose format is %(format)s.") % {"format": FORMAT}
        raise BadConstitution(told, code="bad_format")
    known = {"format", *TEXTS, "principles"}
    if unknown := sorted(str(name)[:40] for name in given.keys() - known):
        raise BadConstitution(
            gettext("There is no field called %(name)s.") % {"name": unknown[0]}, code="unknown_field"
        )
    return Document(
        name=plain_text(given.get("name"), what="name", most=LONGEST_NAME, is_needed=True),
        purpose=plain_text(given.get("purpose", ""), what="purpose", most=LONGEST_PURPOSE),
        note=plain_text(given.get("note", ""), what="note", most=LONGEST_PURPOSE),
        wordings=read_wordings(given.get("principles")),
    )


def import_document(document: Document, *, user: User | None) -> Imported:
    """As a draft: of a new constitution, or the next one of the constitution that has this name.

    Raises `HasDraft`, `NameTaken`, `BadConstitution`; then nothing has changed.
    """
    if not document.wordings:
        raise BadConstitution(gettext("There is no principle in it."), code="no_principles")
    with transaction.atomic():
        known = Constitution.objects.filter(name=document.name).first()
        if known is None:
            known = create_constitution(document.name, purpose=document.purpose, user=user)
            draft = known.versions.get()
        else:
            lock(known)
            same = newest_published(known)
            if same is not None and wordings_in(same) == document.wordings and not has_draft(known):
                return Imported(same, is_new=False)
            draft = begin_draft(known, user=user)
        draft = save_draft(
            draft,
            wordings=document.wordings,
            note=document.note,
            purpose=document.purpose or None,
            seen=draft.edits,
            user=user,
        )
        record("constitution.imported", actor=user, target=known, number=draft.number)
    return Imported(draft, is_new=True)


def has_draft(constitution: Constitution) -> bool:
    return constitution.versions.filter(state=VersionState.DRAFT).exists()
