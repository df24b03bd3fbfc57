"""Principles as small as they can be and still be whole, and constitutions made of them."""

from __future__ import annotations

import json
from typing import Any

from accounts.models import User
from rlhf.models import ConstitutionVersion
from rlhf.services.constitutions.documents import FORMAT
from rlhf.services.constitutions.drafts import create_constitution, save_draft
from rlhf.services.constitutions.publishing import publish
from rlhf.services.constitutions.wording import Example, Wording


def wording(name: str = "calm", **other: Any) -> Wording:
    told = {
        "critique": f"Where is it not {name}?",
        "revision": f"Make it {name}.",
        "comparison": f"Which is more {name}?",
    }
    return Wording(**{"id": name, **told, **other})


EXAMPLE = Example("Why?", "Shut up.", "That is rude.", "Because it rains.")


def a_draft(user: User | None = None, *names: str, name: str = "Manners") -> ConstitutionVersion:
    """Version 1 with principles of these names ("calm" and "kind")."""
    draft = create_constitution(name, purpose="For a waiter.", user=user).versions.get()
    wordings = [wording(one) for one in names or ("calm", "kind")]
    return save_draft(draft, wordings=wordings, seen=draft.edits, user=user, note="The first.")


def published(user: User | None = None, *names: str, name: str = "Manners") -> ConstitutionVersion:
    draft = a_draft(user, *names, name=name)
    return publish(draft, seen=draft.edits, user=user)


def document(*wordings: Wording, **other: Any) -> dict[str, Any]:
    rows = [one.as_row() for one in wordings or (wording("calm", examples=(EXAMPLE,)), wording("kind"))]
    return {
        "format": FORMAT, "name": "Manners", "purpose": "For a waiter.", "note": "The first.", "principles": rows, **other
    }  # fmt: skip


def file_of(told: dict[str, Any]) -> bytes:
    return json.dumps(told).encode()
