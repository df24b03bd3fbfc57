"""Constitutions as documents: out and in again unchanged, hostile files refused by one sentence and a code, the shipped two."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from rlhf.models import Constitution, Principle
from rlhf.services.constitutions.documents import LARGEST, export_bytes, import_document, read_bytes
from rlhf.services.constitutions.drafts import HasDraft, save_draft
from rlhf.services.constitutions.publishing import publish
from rlhf.services.constitutions.wording import MOST_BYTES, MOST_PRINCIPLES, BadConstitution, Example, wordings_in
from tests.rlhf.principles import a_draft, document, file_of, published, wording

pytestmark = pytest.mark.django_db
SHIPPED = sorted((Path(__file__).parents[2] / "rlhf" / "demo" / "constitutions").glob("*.json"))


def row(**other):
    return {**wording().as_row(), **other}


def test_what_is_exported_comes_in_again_unchanged(grace):
    made = published(grace)
    taken = read_bytes(export_bytes(made))
    assert taken.wordings == wordings_in(made)
    document = export_bytes(made)
    Constitution.objects.all().delete()
    again = import_document(taken, user=grace).version
    assert export_bytes(again) == document
    assert (
        publish(again, seen=again.edits, user=grace, dataset_name="again").dataset.rows_sha256
        == made.dataset.rows_sha256
    )


def test_the_largest_that_can_be_written_can_be_exported_and_imported_again(grace):
    long = Example(*["ä" * 2000] * 4)
    fits = [wording(f"p-{i}", examples=(long,) * 6) for i in range(10)]
    draft = a_draft(grace)
    saved = save_draft(draft, wordings=fits, seen=draft.edits, user=grace, note="ä" * 2000, purpose="ä" * 2000)
    assert len(export_bytes(saved)) > 0.9 * MOST_BYTES and read_bytes(export_bytes(saved)).wordings == tuple(fits)
    with pytest.raises(BadConstitution, match="All principles together"):
        save_draft(saved, wordings=[*fits, wording("one-more", examples=(long,) * 6)], seen=saved.edits, user=grace)


def test_a_document_of_a_known_name_is_its_next_version(grace):
    published(grace)
    brought = import_document(read_bytes(file_of(document(wording("brief"), note="Shorter."))), user=grace)
    assert (brought.version.number, brought.version.note, brought.is_new) == (2, "Shorter.", True)
    with pytest.raises(HasDraft):
        import_document(read_bytes(file_of(document(wording("calm")))), user=grace)


def test_the_same_document_twice_is_as_once(grace):
    made = published(grace)
    brought = import_document(read_bytes(export_bytes(made)), user=grace)
    assert (brought.version, brought.is_new) == (made, False)


HOSTILE = [
    (b"", "bad_json"),
    (b"\xff\xfe{}", "bad_json"),
    (b"[" * 200_000, "bad_json"),
    (b'{"format": "steadyhand-constitution-1", "name": "a", "name": "b"}', "bad_json"),
    (file_of(document()).replace(b"1.0", b"NaN", 1), "bad_json"),
    (file_of(document()).replace(b"1.0", b"1" + b"0" * 5000, 1), "bad_json"),
    (b" " * (LARGEST + 1), "too_large"),
    (b"[]", "bad_format"),
    (b'{"format": "other"}', "bad_format"),
    (file_of(document(surprise=1)), "unknown_field"),
    (file_of(document(name="")), "bad_name"),
    (file_of(document(name=7)), "bad_name"),
    (file_of(document(name="a\u202eb")), "bad_name"),
    (file_of(document(purpose="x" * 2001)), "bad_purpose"),
    (file_of(document(note="nul \x00")), "bad_note"),
    (file_of(document(principles={})), "bad_principles"),
    (file_of(document(principles=[])), "no_principles"),
    (file_of(document(principles=[row()] * (MOST_PRINCIPLES + 1))), "too_many_principles"),
]


@pytest.mark.parametrize(("content", "code"), HOSTILE, ids=lambda one: one if isinstance(one, str) else "")
def test_a_hostile_file_is_refused_and_nothing_is_kept(grace, content, code):
    with pytest.raises(BadConstitution) as refused:
        import_document(read_bytes(content), user=grace)
    assert refused.value.code == code and refused.value.sentence.count("\n") == 0
    assert not Constitution.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (7, "Principle 2: It is not an object."),
        ({"critque": "x"}, "Principle 2: There is no field called critque."),
        ({"id": "Calm Down"}, "Its id has small letters"),
        ({"id": "a/../b"}, "Its id has small letters"),
        ({"id": "calm"}, "Another principle is called calm."),
        ({"critique": ""}, "Its critique has 1 to 2,000 characters."),
        ({"critique": None}, "Its critique has 1 to 2,000 characters."),
        ({"revision": "x" * 2001}, "Its revision has 1 to 2,000 characters."),
        ({"comparison": "half \ud800"}, "There is half a character"),
        ({"comparison": "nul \x00"}, "There is a NUL character"),
        ({"weight": 0}, "Its weight is a number above 0"),
        ({"weight": True}, "Its weight is a number above 0"),
        ({"weight": "1"}, "Its weight is a number above 0"),
        ({"weight": 1e400}, "Its weight is a number above 0"),
        ({"weight": 10**6}, "Its weight is a number above 0"),
        ({"tags": "tone"}, "Its tags are not a list."),
        ({"tags": ["Ünfit"]}, "Its tags are at most 8 words"),
        ({"tags": [["tone"]]}, "Its tags are at most 8 words"),
        ({"examples": [{"prompt": "Why?"}]}, "Its examples are not a list of objects with"),
        ({"examples": [[]]}, "Its examples are not a list of objects with"),
        (
            {"examples": [{"prompt": 1, "response": "x", "critique": "y", "revision": "z"}]},
            "The prompt of each example",
        ),
        ({"examples": [{"prompt": "?", "response": " ", "critique": "y", "revision": "z"}]}, "The response of each"),
    ],
)
def test_a_principle_that_is_wrong_is_named_by_its_place(wrong, told):
    second = {**row(id="kind"), **wrong} if isinstance(wrong, dict) else wrong
    with pytest.raises(BadConstitution) as refused:
        read_bytes(json.dumps({**document(), "principles": [row(), second]}).replace("Infinity", "1e999").encode())
    assert refused.value.code == "bad_principle" and told in refused.value.sentence
    assert refused.value.data["principle"] == 2


def test_half_an_import_leaves_nothing(grace, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("away")

    monkeypatch.setattr("rlhf.services.constitutions.documents.save_draft", broken)
    with pytest.raises(OSError, match="away"):
        import_document(read_bytes(file_of(document())), user=grace)
    assert not Constitution.objects.exists() and not Principle.objects.exists()


def told_by_command(*arguments, **options):
    out = io.StringIO()
    call_command("import_constitution", *arguments, json=True, stdout=out, stderr=io.StringIO(), **options)
    return json.loads(out.getvalue())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_constitutions_are_published_by_one_command_and_a_second_time_changes_nothing(grace, path):
    told = told_by_command(path, publish=True)
    assert (told["version"], told["state"], told["is_new"]) == (1, "published", True)
    assert told["num_principles"] >= 4 and told["dataset"] == f"{told['constitution']}-v1"
    assert told_by_command(path, publish=True) == {**told, "is_new": False}
    wordings = wordings_in(Constitution.objects.get().versions.get())
    assert any(one.examples for one in wordings) and all(one.tags for one in wordings)


def test_both_kinds_are_shipped():
    assert [path.stem for path in SHIPPED] == ["general", "narrow"]


@pytest.mark.parametrize("content", [b"{", None])
def test_the_command_tells_a_bad_file_by_its_code(grace, tmp_path, content, capsys):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit):
        call_command("import_constitution", path, json=True)
    code = json.loads(capsys.readouterr().out)["error"]["code"]
    assert code == ("bad_json" if content is not None else "no_file")


def test_a_draft_stays_one_unless_it_is_to_be_published(grace, tmp_path):
    (tmp_path / "m.json").write_bytes(file_of(document()))
    assert told_by_command(tmp_path / "m.json")["state"] == "draft"
