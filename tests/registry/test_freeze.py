"""What freezing promises: whole rows, one hash for the same rows, no prompt in two splits, nothing kept of a failure."""

from __future__ import annotations

import random
import uuid

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from audit.models import AuditEvent
from registry.models import Artifact, DatasetVersion
from registry.services.artifacts import verify
from registry.services.datasets import BadRows, NoRows, TwoSplits, freeze_dataset, read_rows
from registry.services.names import BadName, NameTaken
from registry.services.schemas import RowsHash
from tests.registry.factories import preference_row, prompt, turn


def nothing_was_kept() -> bool:
    store = settings.ARTIFACTS_DIR
    return not Artifact.objects.exists() and not DatasetVersion.objects.exists() and not list(store.glob("*"))


def test_rows_come_back_as_they_were_given_and_in_their_order(rex, prompts):
    assert list(read_rows(prompts, split="train")) == [prompt("Why?"), prompt("How?")]
    assert list(read_rows(prompts, split="train", limit=1)) == [prompt("Why?")]
    assert (prompts.num_rows, prompts.splits) == (3, {"train": 2, "test": 1})
    verify(prompts.artifact)


def test_a_split_without_rows_has_no_file_and_reads_as_none(rex):
    dataset = freeze_dataset("only-train", kind="prompts", splits={"train": [prompt("Why?")], "test": []}, user=rex)
    assert dataset.splits == {"train": 1}
    assert list(read_rows(dataset, split="test")) == []
    assert sorted(dataset.artifact.files) == ["README.md", "data/train-00000-of-00001.parquet"]


def test_the_same_rows_in_another_order_have_the_same_hash_and_other_rows_another(rex, prompts):
    turned = {"train": [prompt("How?"), prompt("Why?")], "test": [prompt("Who?")]}
    assert freeze_dataset("turned", kind="prompts", splits=turned, user=rex).rows_sha256 == prompts.rows_sha256
    moved = {"train": [prompt("How?"), prompt("Why?"), prompt("Who?")]}
    assert freeze_dataset("moved", kind="prompts", splits=moved, user=rex).rows_sha256 != prompts.rows_sha256


@given(st.lists(st.tuples(st.sampled_from(["train", "test"]), st.text(), st.integers()), max_size=20), st.randoms())
def test_the_rows_hash_knows_how_often_and_where_but_not_in_which_order(rows, luck: random.Random):
    shuffled = luck.sample(rows, len(rows))
    assert hash_of(shuffled) == hash_of(rows)
    assert hash_of([*rows, ("train", "one more", 0)]) != hash_of(rows)
    assert hash_of([*rows, ("train", "x", 0), ("train", "x", 0)]) != hash_of([*rows, ("train", "x", 0)])
    assert hash_of([("test", "x", 0)]) != hash_of([("train", "x", 0)])


def hash_of(rows: list[tuple[str, str, int]]) -> str:
    made = RowsHash("corpus")
    for split, text, number in rows:
        made.add(split, {"text": text, "number": number})
    return made.hexdigest()


def test_a_prompt_in_two_splits_is_refused_even_where_its_answers_differ(rex):
    rows = {"train": [preference_row("Why?", number=1)], "test": [preference_row("Why?", number=2)]}
    with pytest.raises(TwoSplits, match="both train and test"):
        freeze_dataset("leak", kind="preference", splits=rows, user=rex)
    asked, answers = turn("user", "Why?"), [turn("assistant", "So."), turn("assistant", "Because.")]
    talks = [{"id": str(i), "messages": [asked, answer]} for i, answer in enumerate(answers)]
    with pytest.raises(TwoSplits):
        freeze_dataset("leak", kind="instructions", splits={"train": talks[:1], "test": talks[1:]}, user=rex)
    assert nothing_was_kept()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "1", "messages": []}, "no list of messages"),
        ({"id": "1", "messages": [turn("user", "Why?")], "extra": 1}, "unknown column extra"),
        ({"messages": [turn("user", "Why?")]}, "no id"),
        ({"id": "1", "messages": [turn("robot", "Why?")]}, "role"),
        ({"id": "1", "messages": [turn("user", "Why?"), turn("assistant", "So.")]}, "user's turn"),
        ({"id": "1", "messages": [turn("user", "\ud800")]}, "surrogate"),
        (["Why?"], "not an object"),
    ],
)
def test_a_bad_row_is_told_by_its_number_and_nothing_is_kept(rex, row, told):
    with pytest.raises(BadRows, match=told) as refused:
        freeze_dataset("bad", kind="prompts", splits={"train": [prompt("How?"), row]}, user=rex)
    assert refused.value.data == {"row": 2, "split": "train"}
    assert nothing_was_kept()


def test_a_dataset_without_rows_is_refused(rex):
    with pytest.raises(NoRows):
        freeze_dataset("empty", kind="prompts", splits={"train": [], "test": []}, user=rex)
    assert nothing_was_kept()


def test_a_name_is_given_once(rex, prompts):
    with pytest.raises(NameTaken, match="questions"):
        freeze_dataset("questions", kind="prompts", splits={"train": [prompt("Where?")]}, user=rex)
    assert DatasetVersion.objects.count() == Artifact.objects.count() == 1


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "ä", "x" * 121, "a\n"])
def test_a_name_that_is_no_slug_is_refused_with_one_sentence(rex, name):
    with pytest.raises(BadName) as refused:
        freeze_dataset(name, kind="prompts", splits={"train": [prompt("Why?")]}, user=rex)
    assert refused.value.sentence.count(". ") == 0


def test_freezing_is_on_record_and_simulated_rows_mark_the_dataset(rex, prompts, preferences):
    event = AuditEvent.objects.get(action="dataset.frozen", target_id=str(preferences.pk))
    assert (event.actor, event.data["rows_sha256"]) == (rex, preferences.rows_sha256)
    assert preferences.is_simulated and not prompts.is_simulated
    child = freeze_dataset(
        "child", kind="prompts", splits={"train": [prompt("Why?")]}, user=rex, parents=[preferences], run=uuid.uuid4()
    )
    assert child.is_simulated


def test_a_writer_of_extra_files_that_fails_leaves_nothing(rex):
    def fails(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        freeze_dataset("half", kind="prompts", splits={"train": [prompt("Why?")]}, user=rex, extra_files=fails)
    assert nothing_was_kept()
