"""A program: people who publish, save and begin at once, on a database of its own, and what came of it as JSON."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

from annotation.models import Campaign  # noqa: E402
from audit.invariants import broken  # noqa: E402
from registry.models import Artifact, DatasetVersion  # noqa: E402
from rlhf.models import CaiStage, ConstitutionalRun, ConstitutionVersion, VersionState  # noqa: E402
from rlhf.services.constitutional.start import start_constitutional, start_stage  # noqa: E402
from rlhf.services.constitutional.votes import open_votes  # noqa: E402
from rlhf.services.constitutions.documents import import_document, read_bytes  # noqa: E402
from rlhf.services.constitutions.drafts import begin_draft, drop_draft, save_draft  # noqa: E402
from rlhf.services.constitutions.publishing import publish  # noqa: E402
from rlhf.services.constitutions.wording import wordings_in  # noqa: E402
from tests.annotation.races import at_once  # noqa: E402
from tests.rlhf.constitutional import makings_of, with_answers  # noqa: E402
from tests.rlhf.principles import a_draft, document, file_of, published, wording  # noqa: E402
from tests.runs.conftest import a_model  # noqa: E402

TIMES, MANY = 3, 4


def names(results: list[Any]) -> dict[str, int]:
    return Counter(one if isinstance(one, str) else "done" for one in results)


def publishing_at_once() -> list[dict[str, Any]]:
    """One draft, by several who have all read it."""
    told = []
    for number in range(TIMES):
        draft = a_draft(None, name=f"Published {number}")
        # Each with a row of her own, as requests have them.
        rows = [ConstitutionVersion.objects.get(pk=draft.pk) for _ in range(MANY)]
        told.append(names(at_once(*(partial(publish, row, seen=draft.edits, user=None) for row in rows))))
    return told


def saving_while_publishing() -> list[dict[str, Any]]:
    """What is frozen is one of the two texts, whole, and it is what the version says."""
    told = []
    for number in range(TIMES):
        draft = a_draft(None, name=f"Torn {number}")
        new = [wording(f"new-{i}") for i in range(20)]
        rows = [ConstitutionVersion.objects.get(pk=draft.pk) for _ in range(3)]
        results = at_once(
            partial(publish, rows[0], seen=draft.edits, user=None),
            partial(save_draft, rows[1], wordings=new, seen=draft.edits, user=None),
            partial(save_draft, rows[2], wordings=new[:7], seen=draft.edits, user=None),
        )
        draft.refresh_from_db()
        told.append({"results": names(results), "num_principles": len(wordings_in(draft)), "state": draft.state})
    return told


def beginning_at_once() -> list[dict[str, Any]]:
    told = []
    for number in range(TIMES):
        first = published(None, name=f"Begun {number}")
        results = at_once(*[partial(begin_draft, first.constitution, user=None)] * MANY)
        drafts = first.constitution.versions.filter(state=VersionState.DRAFT)
        told.append({"results": names(results), "drafts": drafts.count(), "number": drafts.get().number})
    return told


def dropping_while_saving() -> list[dict[str, int]]:
    told = []
    for number in range(TIMES):
        first = published(None, name=f"Dropped {number}")
        draft = begin_draft(first.constitution, user=None)
        rows = [ConstitutionVersion.objects.get(pk=draft.pk) for _ in range(2)]
        results = at_once(
            partial(drop_draft, rows[0], seen=draft.edits, user=None),
            partial(save_draft, rows[1], wordings=[wording()], seen=draft.edits, user=None),
        )
        told.append(Counter("done" if one is None else names([one]).popitem()[0] for one in results))
    return told


def one_file_twice() -> dict[str, Any]:
    given = read_bytes(file_of(document()))
    results = at_once(*[partial(import_document, given, user=None)] * MANY)
    versions = ConstitutionVersion.objects.filter(constitution__name="Manners")
    return {"results": names(results), "versions": versions.count()}


def opening_votes_at_once() -> dict[str, Any]:
    """By several who have all seen that there are none."""
    new = start_constitutional("raced", **makings_of(None))
    asked = DatasetVersion.objects.get(name="raced-asked").artifact
    policy = a_model("raced-to", role="policy").artifact
    start_stage(new, CaiStage.ANSWERS_POLICY, user=None, model=policy, prompts=asked)
    with_answers(new)
    rows = [ConstitutionalRun.objects.get(pk=new.pk) for _ in range(MANY)]
    results = at_once(*(partial(open_votes, row, user=None) for row in rows))
    campaigns = Campaign.objects.filter(name="raced: blind votes")
    return {"results": names(results), "campaigns": campaigns.count(), "tasks": campaigns.get().tasks.count()}


def at_the_end() -> dict[str, Any]:
    """What does not hold together, and how many artifacts there are: rows, datasets, folders."""
    folders = len([*settings.ARTIFACTS_DIR.iterdir()])
    told = {name: found for name, found in broken().items() if found}
    return {"broken": told, "artifacts": [Artifact.objects.count(), DatasetVersion.objects.count(), folders]}


SCENES = {
    scene.__name__: scene
    for scene in (
        publishing_at_once, saving_while_publishing, beginning_at_once, dropping_while_saving, one_file_twice,
        at_the_end, opening_votes_at_once,
    )
}  # fmt: skip

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    print(json.dumps({name: scene() for name, scene in SCENES.items()}))
