"""The dataset of a constitution: what a row must have, the same hash for the same principles, and its page and exports."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from registry.services.datasets import BadRows, freeze_dataset, read_rows
from registry.services.export import export_dataset
from registry.services.importing import BadFile, survey
from tests.accounts.people import client_of


def principle(name="calm", **other):
    example = {"prompt": "Why?", "response": "Shut up.", "critique": "That is rude.", "revision": "Because."}
    return {
        "id": name, "critique": "Say where it shouts.", "revision": "Say it calmly.", "comparison": "Which is calmer?",
        "weight": 1.0, "tags": ["tone", "respect"], "examples": [example], **other,
    }  # fmt: skip


def frozen(user, *rows, name="calm-v1"):
    return freeze_dataset(name, kind="constitution", splits={"train": rows}, user=user)


def test_principles_are_read_back_as_they_were_frozen(rex):
    rows = [principle("calm"), principle("kind", weight=0.5, tags=[], examples=[])]
    assert list(read_rows(frozen(rex, *rows), split="train")) == rows


def test_the_same_principles_have_the_same_hash_and_others_do_not(rex):
    first = frozen(rex, principle("calm"), principle("kind"))
    again = frozen(rex, principle("calm"), principle("kind"), name="again")
    other = frozen(rex, principle("calm"), principle("kind", weight=2.0), name="other")
    assert first.rows_sha256 == again.rows_sha256 != other.rows_sha256


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"critique": " "}, "has an empty critique"),
        ({"weight": 0.0}, "has a weight that is not above 0"),
        ({"weight": float("nan")}, "has no number in weight"),
        ({"weight": float("inf")}, "has no number in weight"),
        ({"tags": "tone"}, "has no list of words in tags"),
        ({"tags": [""]}, "has no list of words in tags"),
        ({"tags": ["half \ud800"]}, "has no list of words in tags"),
        ({"examples": [{"prompt": "Why?"}]}, "that is not just prompt, response, critique, revision in examples"),
        ({"examples": [{**principle()["examples"][0], "response": ""}]}, "has an example with an empty text"),
        ({"id": ""}, "has an empty id"),
    ],
)
def test_a_bad_principle_is_named(rex, wrong, complaint):
    with pytest.raises(BadRows, match=complaint):
        frozen(rex, principle("calm"), {**principle("kind"), **wrong})


def test_its_page_shows_each_row_with_its_tags_and_examples(rex):
    dataset = frozen(rex, principle())
    shown = client_of(rex).get(reverse("dataset", args=[dataset.pk])).content.decode()
    for text in ("Say where it shouts.", "tone, respect", "Shut up.", "That is rude."):
        assert text in shown
    assert reverse("dataset_export", args=[dataset.pk, "trl-jsonl"]) in shown


def test_it_is_exported_as_lines_and_as_parquet(rex, tmp_path):
    dataset = frozen(rex, principle())
    out = export_dataset(dataset, fmt="trl-jsonl", out=tmp_path / "lines")
    assert json.loads((out / "data" / "train.jsonl").read_text()) == principle()
    assert (export_dataset(dataset, fmt="trl-parquet", out=tmp_path / "p") / "data").is_dir()


def test_no_file_becomes_one_past_the_constitutions_own_checks(tmp_path):
    with pytest.raises(BadFile, match="No file of constitution can be imported"):
        survey(tmp_path / "x.jsonl", kind="constitution")
