"""`manage.py verify`: silent on whatever the product writes, and each invariant names the row that breaks it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from annotation.models import Assignment, AssignmentState, Campaign, Ranking, RankingTask, Slot
from annotation.services.assign import lease_next
from annotation.services.rank import correct_ranking, submit_ranking
from audit.invariants import invariants
from audit.models import AuditEvent
from registry.models import Artifact, DatasetVersion
from registry.services.datasets import freeze_dataset
from rlhf.models import Principle
from tests.annotation.arrange import a_campaign, a_person, a_submission
from tests.rlhf.principles import published

pytestmark = pytest.mark.django_db(transaction=True)


def verified() -> dict[str, Any]:
    out = StringIO()
    try:
        call_command("verify", "--json", stdout=out, stderr=StringIO())
    except SystemExit as left:
        assert left.code == 1
        told: dict[str, Any] = json.loads(out.getvalue())["error"]["data"]
        return told
    return {"found": {}, **json.loads(out.getvalue())}


@pytest.fixture
def work(db: None) -> Campaign:
    """Two tasks wanted twice: ranked, corrected, leased; a dataset; an audit log."""
    ada, bea = a_person("ada"), a_person("bea")
    campaign = a_campaign(raters=[ada, bea], num_prompts=2, overlap=2)
    for rater in (ada, bea):
        made = submit_ranking(
            lease_next(campaign, rater=rater), rater=rater, submission=a_submission("a>b>c")
        )  # fmt: skip
    correct_ranking(made, rater=bea, submission=a_submission("c>b>a"))
    lease_next(campaign, rater=ada)
    rows = [{"id": "1", "text": "Some words.", "source": "here"}]
    freeze_dataset("words", kind="corpus", splits={"train": rows}, user=None)
    return campaign


def test_what_the_product_writes_breaks_nothing(work: Campaign):
    assert verified() == {"found": {}, "invariants": len(invariants()), "violations": {}}


def done() -> Assignment:
    return Assignment.objects.filter(state=AssignmentState.DONE).order_by("pk")[0]


def over_overlap(work: Campaign) -> None:
    task = done().task
    drop("annotation_assignment", "a_slot_is_held_once")
    for i in range(2):
        copy_of(done(), slot=task.slots.first(), task=task, rater=a_person(f"extra-{i}"))


def a_slot_that_nobody_holds(work: Campaign) -> None:
    Slot.objects.filter(pk=Slot.objects.filter(is_free=True)[0].pk).update(is_free=False)


def a_held_slot_that_is_free(work: Campaign) -> None:
    Slot.objects.filter(pk=done().slot_id).update(is_free=True)


def held_twice_by_one(work: Campaign) -> None:
    drop("annotation_assignment", "a_task_once_a_rater")
    mine = done()
    free = Slot.objects.filter(task=mine.task, is_free=True).first() or Slot.objects.exclude(pk=mine.slot_id)[0]
    drop("annotation_assignment", "a_slot_is_held_once")
    copy_of(mine, slot=free, task=mine.task, rater=mine.rater)


def a_slot_of_another_task(work: Campaign) -> None:
    mine = Assignment.objects.get(state=AssignmentState.LIVE)
    other = RankingTask.objects.exclude(assignments__rater=mine.rater).first() or RankingTask.objects.create(
        campaign=work, prompt=mine.task.prompt
    )
    Assignment.objects.filter(pk=mine.pk).update(task=other)


def done_without_a_ranking(work: Campaign) -> None:
    Assignment.objects.filter(state=AssignmentState.LIVE).update(state=AssignmentState.DONE)


def a_ranking_of_a_live_lease(work: Campaign) -> None:
    Assignment.objects.filter(pk=done().pk).update(state=AssignmentState.LIVE)


def a_second_live_ranking(work: Campaign) -> None:
    live = Assignment.objects.get(state=AssignmentState.LIVE)
    mine = Ranking.objects.filter(rater=live.rater, is_live=True)[0]
    Ranking.objects.create(
        client_uuid=uuid.uuid4(), assignment=live, task=mine.task, rater=live.rater, tiers=mine.tiers, strengths=mine.strengths
    )  # fmt: skip


def stored_twice(work: Campaign) -> None:
    first, second = Ranking.objects.order_by("created_at")[:2]
    if connection.vendor == "sqlite":
        pytest.skip("SQLite keeps it in the table itself; raters on a build without keys break it there")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE annotation_ranking DROP CONSTRAINT annotation_ranking_client_uuid_key")
    Ranking.objects.filter(pk=second.pk).update(client_uuid=first.client_uuid)


def of_another_rater(work: Campaign) -> None:
    Ranking.objects.filter(pk=Ranking.objects.filter(is_live=True)[0].pk).update(rater=a_person("carl"))


def superseded_and_live(work: Campaign) -> None:
    drop("annotation_ranking", "one_live_ranking_an_assignment")
    Ranking.objects.filter(is_live=False).update(is_live=True)


def gone_without_a_correction(work: Campaign) -> None:
    Ranking.objects.filter(pk=Ranking.objects.filter(supersedes=None, is_live=True)[0].pk).update(is_live=False)


def a_text_left_out(work: Campaign) -> None:
    mine = Ranking.objects.filter(is_live=True)[0]
    Ranking.objects.filter(pk=mine.pk).update(tiers=mine.tiers[1:])


def a_changed_deed(work: Campaign) -> None:
    AuditEvent.objects.filter(pk=AuditEvent.objects.order_by("pk")[0].pk).update(action="nothing.happened")


def rows_miscounted(work: Campaign) -> None:
    DatasetVersion.objects.update(num_rows=2)


def a_changed_file(work: Campaign) -> None:
    path = next(path for path in Artifact.objects.get().folder.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def a_file_gone(work: Campaign) -> None:
    next(Artifact.objects.get().folder.rglob("*.parquet")).unlink()


def a_folder_of_nobodys(work: Campaign) -> None:
    (Artifact.objects.get().folder.parent / str(uuid.uuid4())).mkdir()


def a_reference_to_nothing(work: Campaign) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL refuses it")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys = OFF")
        cursor.execute(
            "UPDATE annotation_slot SET reserved_for_id = 999999 WHERE id = (SELECT min(id) FROM annotation_slot)"
        )
        cursor.execute("PRAGMA foreign_keys = ON")


def commits_that_do_not_wait(work: Campaign) -> None:
    statement = "PRAGMA synchronous = NORMAL" if connection.vendor == "sqlite" else "SET synchronous_commit = off"
    with connection.cursor() as cursor:
        cursor.execute(statement)


def a_principle_reworded(work: Campaign) -> None:
    published(None, "calm")
    Principle.objects.update(critique="Is it loud?")


BROKEN: dict[Callable[[Campaign], None], str] = {
    over_overlap: "overlap",
    a_slot_that_nobody_holds: "slots",
    a_held_slot_that_is_free: "slots",
    held_twice_by_one: "once_a_rater",
    a_slot_of_another_task: "same_task",
    done_without_a_ranking: "one_live_ranking",
    a_ranking_of_a_live_lease: "one_live_ranking",
    a_second_live_ranking: "one_ranking_a_rater",
    stored_twice: "one_row_a_submission",
    of_another_rater: "same_rater",
    superseded_and_live: "corrections",
    gone_without_a_correction: "corrections",
    a_text_left_out: "texts",
    a_changed_deed: "audit_chain",
    rows_miscounted: "dataset_rows",
    a_changed_file: "artifacts",
    a_file_gone: "artifacts",
    a_folder_of_nobodys: "folders",
    a_reference_to_nothing: "references",
    commits_that_do_not_wait: "durability",
    a_principle_reworded: "published_constitutions",
}


@pytest.mark.parametrize(("deed", "name"), BROKEN.items(), ids=[deed.__name__ for deed in BROKEN])
def test_it_finds(work: Campaign, deed: Callable[[Campaign], None], name: str, restored: None):
    deed(work)
    told = verified()
    assert told["violations"].get(name, 0) >= 1
    assert told["found"][name][0]


def test_each_invariant_is_broken_by_one_of_these():
    assert {each.name for each in invariants()} == set(BROKEN.values())


def test_people_are_told_the_row_and_what_should_hold(work: Campaign):
    a_held_slot_that_is_free(work)
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit):
        call_command("verify", "--without-files", stdout=out, stderr=err)
    assert f"slots: slot {done().slot_id} of task {done().task_id}. A slot is held by one" in out.getvalue()
    assert err.getvalue() == "not_sound: 1 violations of 1 invariants.\n"


# What a broken build would not have made


_dropped: list[str] = []


def drop(table: str, name: str) -> None:
    """A constraint that stands in an index of its own; `restored` makes it again."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sql FROM sqlite_master WHERE name = %s", [name])
        else:
            cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
        _dropped.append(cursor.fetchone()[0])
        cursor.execute(f'DROP INDEX "{name}"')


@pytest.fixture
def restored(transactional_db: None) -> Any:
    yield
    Ranking.objects.all().update(supersedes=None)
    for table in ("annotation_ranking", "annotation_assignment"):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("UPDATE annotation_slot SET reserved_for_id = NULL")
            cursor.execute("PRAGMA synchronous = FULL")
        for statement in _dropped:
            cursor.execute(statement)
    _dropped.clear()


def copy_of(assignment: Assignment, **fields: Any) -> Assignment:
    assignment.pk = uuid.uuid4()
    assignment._state.adding = True
    for name, value in fields.items():
        setattr(assignment, name, value)
    assignment.save(force_insert=True)
    return assignment
