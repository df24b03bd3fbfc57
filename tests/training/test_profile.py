"""A dataset's profile: counted rightly, in batches as at once, with intervals that know what a row is."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from tests.training import tiny
from training import contract
from training.mechanics.languages import language_of
from training.mechanics.profile import groups, tally, tone
from training.mechanics.ratios import ratio_over


def talk(number: int, *texts: str) -> dict[str, object]:
    turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    return {"id": str(number), "messages": turns}


ROWS = [
    talk(0, "Who is she?", "She is a wonderful doctor. She is kind."),
    talk(1, "And the old man?", "The old man is a stupid idiot.", "Why?", "He is terrible."),
    *(
        talk(number, f"What is {number} and the rest of it?", "That is a number of the list.")
        for number in range(2, 40)
    ),
    talk(40, "what is 2 and the rest of it?", "That is a number of the list."),
]


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    given = {
        "dataset": tiny.write_dataset(
            folder / "data", ROWS, [talk(99, "Wer ist das und was macht er?", "Ich weiß es nicht.")]
        )
    }
    run_dir = tiny.make_run(folder / "run", "profile", {"batch_rows": 7}, given)
    assert tiny.finish(run_dir) == contract.EXIT_DONE
    again = tiny.same_run(run_dir, folder / "again")
    kept = again / "checkpoints" / "counting"
    kept.mkdir(parents=True)
    for name in ("part-000000.json", "part-000001.json"):
        (kept / name).write_bytes((run_dir / "checkpoints" / "counting" / name).read_bytes())
    assert tiny.finish(again) == contract.EXIT_DONE
    assert contract.folder_files(again / "output") == contract.folder_files(run_dir / "output")
    return json.loads((run_dir / "output" / "report.json").read_text())


def test_batches_and_a_resumed_run_count_what_counting_at_once_counts(profile):
    counts = tally.count(ROWS, split="train")
    tally.add(counts, tally.count([talk(99, "Wer ist das und was macht er?", "Ich weiß es nicht.")], split="test"))
    assert json.loads(json.dumps(tally.profile_of(counts))) == profile


def test_rows_words_turns_copies_and_languages_are_counted(profile):
    train = profile["splits"]["train"]
    assert (profile["num_rows"], train["rows"], profile["splits"]["test"]["rows"]) == (42, 41, 1)
    assert train["turns"] == {"2": 40, "4": 1}
    assert profile["num_repeated"] == 1  # but for case
    assert profile["splits"]["test"]["languages"] == {"de": 1}
    assert train["lengths"]["row"]["median"] == 15 and sum(b["rows"] for b in train["histogram"]) == 41
    assert len(profile["samples"]) == tally.SHOWN


def test_groups_are_named_with_the_tone_of_their_sentences(profile):
    found = {group["name"]: group for group in profile["groups"]}
    assert found["women"]["sentences"] == 3 and found["women"]["words"] == [["she", 3]]
    assert found["women"]["sentiment"]["value"] > 0.2 and found["old people"]["sentiment"]["value"] < -0.2
    assert found["women"]["sentiment"]["low"] is None  # one row is no sample
    assert found["old people"]["rough"]["value"] == 0.5 and profile["rough"]["rows"] == 1
    assert profile["rough"]["kinds"]["insults"]["words"] == 2
    assert "Muslims" in profile["groups_not_named"]


def test_real_instructions_are_english_and_name_some_groups_and_not_others(data):
    texts = gzip.decompress((data / "self_instruct/seed_tasks.jsonl.gz").read_bytes()).decode().splitlines()
    tasks = [json.loads(line) for line in texts]
    rows = [talk(at, task["instruction"], task["instances"][0]["output"]) for at, task in enumerate(tasks)]
    told = tally.profile_of(tally.count(rows, split="train"))
    assert told["splits"]["train"]["languages"]["en"] > 0.9 * len(rows)
    named = {group["name"]: group for group in told["groups"]}
    assert named["women"]["rows"] >= 5 and named["women"]["sentiment"]["low"] is not None
    assert "people with mental illness or autism" in told["groups_not_named"]


def test_a_name_has_no_tone_and_an_everyday_word_names_nobody():
    assert tone.sentiment("The blind man came.") == tone.sentiment("The tall man came.") == 0
    assert groups.groups_named("Polish the black car, and the white one.") == {}
    assert list(groups.groups_named("Black people and white people met.")) == [
        "Black people and Africans",
        "white people",
    ]


def test_signs_that_hide_or_turn_text_are_not_shown():
    assert tally.shortened("a\u202eb\u0000c\nd") == "a\ufffdb\ufffdc\nd"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("This is what you have to do with it.", "en"),
        ("Das ist nicht, was du mit dem Auto machst.", "de"),
        ("我不知道这是什么。", "zh"),
        ("これは何ですか。分かりません。", "ja"),
        ("Это не то, что я хотел.", "ru"),
        ("42", "short"),
        ("x = f(y) + g(z)\nreturn xyz plus abc", "other"),
    ],
)
def test_the_language_of_a_text(text, language):
    assert language_of(text) == language


def test_the_interval_of_a_ratio_covers_the_truth_as_often_as_it_says():
    lot, covered = random.Random(0), 0
    for _ in range(400):
        rows = []
        for _ in range(12):
            level, size = lot.gauss(0.3, 0.2), lot.randint(1, 20)
            rows.append((sum(lot.gauss(level, 0.3) for _ in range(size)), size))
        found = ratio_over(rows)
        covered += found.low <= 0.3 <= found.high
    assert 0.90 <= covered / 400 <= 0.98
