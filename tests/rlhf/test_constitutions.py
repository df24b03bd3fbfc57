"""Constitutions by version: written as drafts, frozen when published, and never overwritten by who saw an older one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from audit.models import AuditEvent
from registry.models import Artifact, DatasetVersion
from registry.services.datasets import freeze_dataset, read_rows
from registry.services.names import NameTaken as DatasetNameTaken
from rlhf.checks import published_constitutions
from rlhf.models import ConstitutionVersion, Principle, VersionState
from rlhf.services.constitutions.drafts import (
    EditedMeanwhile,
    Frozen,
    HasDraft,
    NameTaken,
    begin_draft,
    create_constitution,
    drop_draft,
    save_draft,
)
from rlhf.services.constitutions.publishing import publish
from rlhf.services.constitutions.wording import BadConstitution, wordings_in
from tests.accounts.people import person
from tests.rlhf.principles import EXAMPLE, a_draft, published, wording

pytestmark = pytest.mark.django_db


def names_in(version: ConstitutionVersion) -> list[str]:
    return [one.id for one in wordings_in(version)]


def test_publishing_freezes_the_principles_as_a_dataset(grace):
    draft = a_draft(grace)
    made = publish(draft, seen=draft.edits, user=grace)
    assert (made.state, made.published_by, made.dataset.name) == ("published", grace, "manners-v1")
    assert list(read_rows(made.dataset, split="train")) == [one.as_row() for one in wordings_in(made)]
    assert made.dataset.splits == {"train": 2} and made.dataset.query["version"] == 1
    events = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert events == ["constitution.created", "constitution.draft_saved", "dataset.frozen", "constitution.published"]


def test_a_published_version_is_nobodys_to_change(grace):
    made = published(grace)
    with pytest.raises(Frozen, match="Version 1 is published and stays as it is"):
        save_draft(made, wordings=[wording("rude")], seen=made.edits, user=grace)
    with pytest.raises(Frozen):
        publish(made, seen=made.edits, user=grace)
    with pytest.raises(Frozen):
        drop_draft(made, seen=made.edits, user=grace)
    assert names_in(made) == ["calm", "kind"] and not list(published_constitutions())


def test_verify_names_a_published_version_whose_rows_were_changed_behind_our_back(grace):
    made = published(grace)
    Principle.objects.filter(version=made, slug="calm").update(weight=2.0)
    assert list(published_constitutions()) == ["manners, version 1"]


def test_a_new_version_begins_with_what_was_published_and_names_it_as_its_parent(grace):
    first = published(grace)
    draft = begin_draft(first.constitution, user=grace)
    assert (draft.number, names_in(draft)) == (2, ["calm", "kind"])
    with pytest.raises(HasDraft):
        begin_draft(first.constitution, user=grace)
    draft = save_draft(draft, wordings=[wording("kind"), wording("brief")], seen=draft.edits, user=grace)
    second = publish(draft, seen=draft.edits, user=grace)
    assert names_in(first) == ["calm", "kind"] and names_in(second) == ["kind", "brief"]
    assert list(second.dataset.parents.all()) == [first.dataset]


def test_equal_principles_have_equal_hashes_whatever_they_are_called_and_wherever_they_stand(grace):
    one = published(grace, "calm", "kind", name="Manners")
    same = published(grace, "kind", "calm", name="Conduct")
    other = published(grace, "calm", "brief", name="Habits")
    assert one.dataset.rows_sha256 == same.dataset.rows_sha256 != other.dataset.rows_sha256


def test_a_draft_is_saved_whole_edited_added_removed_and_ordered(grace):
    draft = a_draft(grace, "calm", "kind", "brief")
    changed = wording("kind", weight=2, tags=("tone", "tone"), examples=(EXAMPLE,), critique="  Is it\r\nkind? ")
    saved = save_draft(draft, wordings=[wording("new"), changed, wording("calm")], seen=draft.edits, user=grace)
    kept = replace(changed, critique="Is it\nkind?", weight=2.0, tags=("tone",))
    assert wordings_in(saved) == (wording("new"), kept, wording("calm"))


def test_who_saw_an_older_draft_is_told_and_overwrites_nothing(grace):
    draft, bea = a_draft(grace), person("admin", name="bea")
    seen = draft.edits
    save_draft(draft, wordings=[wording("hers")], seen=seen, user=bea)
    for late in (
        lambda: save_draft(draft, wordings=[wording("mine")], seen=seen, user=grace, purpose="Mine."),
        lambda: publish(draft, seen=seen, user=grace),
        lambda: drop_draft(draft, seen=seen, user=grace),
    ):
        with pytest.raises(EditedMeanwhile, match="bea saved this draft after you opened it"):
            late()
    draft.refresh_from_db()
    assert names_in(draft) == ["hers"] and draft.constitution.purpose == "For a waiter."
    assert not DatasetVersion.objects.exists()


def test_a_draft_that_was_let_go_is_told_too(grace):
    first = published(grace)
    draft = begin_draft(first.constitution, user=grace)
    other = ConstitutionVersion.objects.get(pk=draft.pk)
    drop_draft(draft, seen=draft.edits, user=grace)
    with pytest.raises(EditedMeanwhile, match="let go meanwhile"):
        save_draft(other, wordings=[wording()], seen=other.edits, user=grace)
    assert begin_draft(first.constitution, user=grace).number == 2


def test_the_only_version_is_not_let_go(grace):
    draft = a_draft(grace)
    with pytest.raises(BadConstitution, match="the only version"):
        drop_draft(draft, seen=draft.edits, user=grace)
    draft.refresh_from_db()
    assert names_in(draft) == ["calm", "kind"]


def test_nothing_and_nothing_new_is_not_published(grace):
    empty = create_constitution("Empty", purpose="", user=grace).versions.get()
    with pytest.raises(BadConstitution, match="no principle to publish"):
        publish(empty, seen=empty.edits, user=grace)
    draft = begin_draft(published(grace).constitution, user=grace)
    with pytest.raises(BadConstitution, match="Nothing is different from version 1"):
        publish(draft, seen=draft.edits, user=grace)
    draft.refresh_from_db()
    assert draft.is_draft and draft.edits == 0


def test_a_name_that_is_taken_leaves_the_draft_a_draft_and_another_name_publishes_it(grace):
    freeze_dataset("manners-v1", kind="constitution", splits={"train": [wording().as_row()]}, user=grace)
    draft = a_draft(grace)
    with pytest.raises(DatasetNameTaken):
        publish(draft, seen=draft.edits, user=grace)
    draft.refresh_from_db()
    assert draft.is_draft
    assert publish(draft, seen=draft.edits, user=grace, dataset_name="manners-first").dataset.name == "manners-first"


def test_a_publication_that_breaks_leaves_neither_rows_nor_folder(grace, monkeypatch):
    draft = a_draft(grace)

    def full(*args, **kwargs):
        raise OSError("the audit log is away")

    monkeypatch.setattr("rlhf.services.constitutions.publishing.record", full)
    with pytest.raises(OSError, match="away"):
        publish(draft, seen=draft.edits, user=grace)
    draft.refresh_from_db()
    assert draft.is_draft and not DatasetVersion.objects.exists() and not Artifact.objects.exists()
    assert not [path for path in settings.ARTIFACTS_DIR.iterdir() if path.is_dir()]


@pytest.mark.parametrize("name", ["", "new", "Import", "!!!", "a" * 101, "two\nlines", "Manners", "manners"])
def test_a_name_that_no_address_can_have_or_that_is_taken_is_told(grace, name):
    a_draft(grace)
    with pytest.raises((BadConstitution, NameTaken)):
        create_constitution(name, purpose="", user=grace)


@pytest.mark.parametrize(
    "broken",
    [
        {"state": VersionState.PUBLISHED},
        {"number": 1},
        {"number": 3, "state": VersionState.DRAFT},
    ],
)
def test_the_database_itself_refuses_what_must_not_be(grace, broken):
    first = published(grace)
    begin_draft(first.constitution, user=grace)
    with pytest.raises(IntegrityError), transaction.atomic():
        ConstitutionVersion.objects.create(constitution=first.constitution, **{"number": 9, **broken})
    with pytest.raises(IntegrityError), transaction.atomic():
        Principle.objects.filter(version=first, slug="kind").update(weight=0)
